package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is one of the benchmark programs.
type program struct {
	name string
	// dirs are where it is in a tree, the newest place first.
	dirs []string
	// args make it short.
	args string
	// server is its flag for the server's binary, "" if it needs none.
	server string
	// selects is its flag for steps.
	selects string
}

var programs = []*program{
	{name: "db", dirs: []string{"bench/db", "test/benchdb"}, args: "-seconds 2", selects: "-run"},
	{name: "ops", dirs: []string{"bench/ops", "test/benchops"}, server: "-binary", selects: "-run"},
	{
		name: "sockets", dirs: []string{"bench/sockets", "test/benchsockets"}, server: "-chowk", selects: "-run",
		args: "-servers chowk -sockets 2000 -idle 2000 -seconds 5 -settle 5s",
	},
}

func programNamed(name string) *program {
	for _, p := range programs {
		if p.name == name {
			return p
		}
	}
	return nil
}

// side is one of the two trees.
type side struct {
	Name   string `json:"name"`
	Commit string `json:"commit"`
	// Changed means that the tree has changes beyond the commit.
	Changed bool `json:"changed,omitempty"`

	tree string
	bin  string // the directory of its binaries
}

// sides returns the base, in a worktree that close removes, and the working tree.
func sides(ctx context.Context, ref string) (base, head *side, closeBase func(), err error) {
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, nil, nil, err
	}
	dir, err := os.MkdirTemp("", "chowk-compare-")
	if err != nil {
		return nil, nil, nil, err
	}
	base = &side{Name: ref, tree: filepath.Join(dir, "base"), bin: filepath.Join(dir, "bin-base")}
	head = &side{Name: "working tree", tree: root, bin: filepath.Join(dir, "bin-head")}
	closeBase = func() {
		// Also when ctx has ended: a worktree that is left stays in the repository's list.
		_, _ = git(context.WithoutCancel(ctx), root, "worktree", "remove", "--force", base.tree)
		_ = os.RemoveAll(dir)
	}
	if err := base.checkOut(ctx, root, ref); err != nil {
		closeBase()
		return nil, nil, nil, err
	}
	if err := head.describe(ctx); err != nil {
		closeBase()
		return nil, nil, nil, err
	}
	return base, head, closeBase, nil
}

func (s *side) checkOut(ctx context.Context, root, ref string) (err error) {
	if s.Commit, err = git(ctx, root, "rev-parse", "--verify", ref+"^{commit}"); err != nil {
		return fmt.Errorf("-base: %w", err)
	}
	_, err = git(ctx, root, "worktree", "add", "--detach", s.tree, s.Commit)
	return err
}

func (s *side) describe(ctx context.Context) (err error) {
	if s.Commit, err = git(ctx, s.tree, "rev-parse", "HEAD"); err != nil {
		return err
	}
	changes, err := git(ctx, s.tree, "status", "--porcelain")
	s.Changed = changes != ""
	return err
}

// build builds a program, and the server if it needs one.
func (s *side) build(ctx context.Context, p *program) error {
	dir := s.dirOf(p)
	if dir == "" {
		return fmt.Errorf("%s has no program %s (%s)", s.Name, p.name, strings.Join(p.dirs, ", "))
	}
	if err := goBuild(ctx, filepath.Join(s.tree, dir), s.path(p.name), "."); err != nil {
		return fmt.Errorf("build %s of %s: %w", dir, s.Name, err)
	}
	if p.server == "" || exists(s.path("chowk")) {
		return nil
	}
	if err := goBuild(ctx, s.tree, s.path("chowk"), "./cmd/chowk"); err != nil {
		return fmt.Errorf("build the server of %s: %w", s.Name, err)
	}
	return nil
}

// dirOf returns the directory of a program in the tree, "" if it has none.
func (s *side) dirOf(p *program) string {
	for _, dir := range p.dirs {
		if exists(filepath.Join(s.tree, dir)) {
			return dir
		}
	}
	return ""
}

func (s *side) path(binary string) string { return filepath.Join(s.bin, binary) }

func goBuild(ctx context.Context, dir, output, target string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", output, target)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("git %s: %s", args[0], strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
