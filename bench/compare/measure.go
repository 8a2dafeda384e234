package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// measure builds both sides and runs all rounds.
func measure(ctx context.Context, c config) (*comparison, error) {
	base, head, closeBase, err := sides(ctx, c.base)
	if err != nil {
		return nil, err
	}
	defer closeBase()
	m := &comparison{
		Base: base, Head: head, Rounds: c.rounds,
		Machine: fmt.Sprintf("%s/%s with %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
	for _, name := range c.programs() {
		for _, s := range []*side{base, head} {
			progress("build %s of %s", name, s.Name)
			if err := s.build(ctx, programNamed(name)); err != nil {
				return nil, err
			}
		}
	}
	for n := range c.rounds {
		for _, sel := range c.steps {
			if err := m.round(ctx, c, n, sel); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// programs returns the names of the programs that the steps need.
func (c config) programs() (names []string) {
	for _, sel := range c.steps {
		if !slices.Contains(names, sel.program) {
			names = append(names, sel.program)
		}
	}
	return names
}

// round runs steps on both sides; the base is first in every other round.
func (c *comparison) round(ctx context.Context, o config, n int, sel selection) error {
	order := []*side{c.Base, c.Head}
	if n%2 == 1 {
		slices.Reverse(order)
	}
	found := make(map[*side][]figure)
	for _, s := range order {
		progress("round %d of %d: %s:%s of %s", n+1, o.rounds, sel.program, sel.expression, s.Name)
		figures, err := s.run(ctx, programNamed(sel.program), sel.expression, o.args[sel.program])
		if err != nil {
			return fmt.Errorf("%s of %s: %w", sel.program, s.Name, err)
		}
		found[s] = figures
	}
	pairs := match(found[c.Base], found[c.Head])
	if len(pairs) == 0 {
		return fmt.Errorf("%s:%s: the two sides have no figure in common", sel.program, sel.expression)
	}
	c.add(sel.program, pairs)
	return nil
}

// run runs steps of a program, and returns its figures.
func (s *side) run(ctx context.Context, p *program, expression string, args []string) ([]figure, error) {
	report := filepath.Join(s.bin, p.name+".json")
	if err := os.RemoveAll(report); err != nil {
		return nil, err
	}
	args = append([]string{p.selects, expression, "-json", report}, args...)
	if p.server != "" {
		args = append(args, p.server, s.path("chowk"))
	}
	cmd := exec.CommandContext(ctx, s.path(p.name), args...) //nolint:gosec // built above
	cmd.Dir = s.tree
	// It removes its databases when it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		return nil, err
	}
	return readFigures(text)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
