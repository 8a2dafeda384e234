package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// benchmark is a program that reports a throughput, as bench/db does.
const benchmark = `package main

import ("flag"; "os")

func main() {
	run, report := flag.String("run", "", ""), flag.String("json", "", "")
	seconds := flag.Int("seconds", 0, "")
	flag.Parse()
	if *seconds != 2 { os.Exit(3) }
	text := "{\"measurements\":[{\"step\":\"" + *run + "\",\"way\":\"journal\",\"per_second\":RATE}]}"
	if os.WriteFile(*report, []byte(text), 0o644) != nil { os.Exit(4) }
}
`

// TestTheBaseIsBuiltFromItsOwnTree, where the program was at another path.
func TestTheBaseIsBuiltFromItsOwnTree(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped with -short: it builds two programs")
	}
	root := repository(t)
	t.Chdir(root)
	report := filepath.Join(t.TempDir(), "report.json")
	if err := run(context.Background(), []string{
		"-base", "HEAD", "-steps", "db:hot", "-rounds", "2", "-json",
		report,
	}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var got comparison
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := []*row{{
		Program: "db", Step: "hot", Name: "journal: throughput", Unit: "/s",
		Base: []float64{100, 100}, Head: []float64{125, 125}, Ratio: &spread{Median: 1.25, Min: 1.25, Max: 1.25},
	}}
	if diff := cmp.Diff(want, got.Rows, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !got.Head.Changed || got.Base.Changed || got.Base.Name != "HEAD" {
		t.Errorf("base %+v, head %+v", got.Base, got.Head)
	}
	if left := gitIn(t, root, "worktree", "list"); strings.Count(left, "\n") > 0 {
		t.Errorf("worktrees are left:\n%s", left)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-steps", "db:hot"}, "-base REF"},
		{[]string{"-base", "no-such-commit"}, "-base: git rev-parse"},
		{[]string{"-base", "HEAD", "-steps", "ops:stall"}, "HEAD has no program ops"},
		{[]string{"-base", "HEAD", "-rounds", "0"}, "-rounds must be at least 1"},
		{[]string{"-base", "HEAD", "-db-args", "-seconds 9"}, "exit status 3"},
	} {
		if err := run(context.Background(), c.args); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want an error with %q", c.args, err, c.want)
		}
	}
}

// repository returns a checkout whose commit has the program at its old path, and
// whose working tree has a faster one at the new path.
func repository(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.org/m\n\ngo 1.26\n")
	write("test/benchdb/main.go", strings.Replace(benchmark, "RATE", "100", 1))
	gitIn(t, root, "init", "-q")
	gitIn(t, root, "add", "-A")
	gitIn(t, root, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "base")
	if err := os.RemoveAll(filepath.Join(root, "test")); err != nil {
		t.Fatal(err)
	}
	write("bench/db/main.go", strings.Replace(benchmark, "RATE", "125", 1))
	return root
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
