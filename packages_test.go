// Package chowk_test checks what concerns all packages together.
package chowk_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/chowk-chat/chowk"

// imports lists the packages of this module that each package may import, in addition
// to chat and internal/metric; "." is the package at the root. A package without an
// entry fails the test: add one, and give the reason in the commit message.
var imports = map[string][]string{
	"chat":                           {},
	"internal/settings":              {"internal/auth"},
	"internal/buildinfo":             {},
	"internal/metric":                {},
	"internal/state":                 {"internal/model"},
	"internal/model":                 {},
	"internal/frame":                 {},
	"internal/netpoll":               {"internal/async"},
	"internal/async":                 {},
	"internal/ratelimit":             {},
	"internal/trace":                 {"internal/ratelimit"},
	"internal/trace/otlp":            {"internal/trace"},
	"internal/database":              {"internal/trace", "internal/model", "internal/async"},
	"internal/database/table":        {"internal/database", "internal/model"},
	"internal/database/databasetest": {},
	"internal/store": {
		"internal/database", "internal/database/table", "internal/store/migrations", "internal/trace",
		"internal/state", "internal/model",
		"internal/async",
	},
	"internal/store/migrations": {},
	"internal/journal":          {"internal/trace", "internal/state", "internal/async"},
	"internal/command":          {"internal/state", "internal/model"},
	"internal/hub":              {"internal/hub/internal/compact", "internal/frame", "internal/trace", "internal/async"},
	"internal/relay":            {"internal/model", "internal/async"},
	"internal/auth":             {"internal/model", "internal/async", "internal/ratelimit"},
	"internal/gateway": {
		"internal/command", "internal/hub", "internal/netpoll", "internal/frame", "internal/auth",
		"internal/trace", "internal/model", "internal/async", "internal/ratelimit",
	},
	"internal/api": {
		"internal/command", "internal/auth", "internal/trace", "web", "internal/model", "internal/ratelimit",
	},
	"internal/ops":                 {},
	"internal/canary":              {},
	"client":                       {"internal/async"},
	"internal/history":             {},
	"internal/faultclock":          {},
	"internal/doctor":              {"internal/store", "internal/ops", "internal/relay"},
	"internal/bench":               {"internal/auth", "internal/bench/report", "internal/frame", "internal/async"},
	"internal/bench/report":        {},
	"web":                          {},
	".":                            {"*"},
	"cmd/chowk":                    {"*"},
	"deploy/gen":                   {},
	"internal/protocolgen":         {"internal/command", "internal/api"},
	"internal/testkit":             {},
	"internal/testkit/natstest":    {"internal/testkit"},
	"internal/testkit/pgtest":      {},
	"internal/testkit/faultresult": {"internal/history"},
	"cmd/chowk-lab": {
		"internal/bench", "internal/bench/report", "internal/history", "internal/testkit",
		"internal/testkit/pgtest", "internal/testkit/faultresult", "cmd/chowk-lab/internal/incident",
	},
	"cmd/chowk-lab/internal/oldways": {},
	"cmd/chowk-lab/internal/incident": {
		"internal/bench", "internal/testkit", "cmd/chowk-lab/internal/oldways", "internal/bench/report", "internal/async",
	},
	"internal/store/storetest": {
		"internal/store", "internal/testkit/pgtest", "internal/state", "internal/model",
	},
	"test/schema":          {},
	"bench/internal/usage": {},
	"bench/internal/steps": {"internal/bench/report"},
	"bench/compare":        {"bench/internal/steps", "internal/bench/report"},
	"bench/db": {
		"internal/store", "internal/journal", "internal/testkit/pgtest", "internal/state", "bench/internal/usage",
		"bench/internal/steps",
		"internal/async", "internal/model",
	},
	"bench/ops": {
		"client", "internal/async", "internal/auth", "internal/bench", "internal/bench/report", "internal/testkit",
		"internal/frame", "internal/gateway", "internal/hub", "internal/journal", "internal/netpoll",
		"internal/testkit/pgtest", "internal/store", "internal/command", "bench/internal/usage", "bench/internal/steps",
		"internal/model",
	},
	"internal/hub/internal/compact": {},
}

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	Imports    []string
	GoFiles    []string
}

// name returns the package's path within the module, "." for the root.
func (p goPackage) name() string {
	name, _ := within(p.ImportPath)
	return name
}

// within returns the path of a package within the module, "." for the root; ok is false
// for packages of other modules.
func within(importPath string) (name string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	const fields = "-json=ImportPath,Dir,Doc,Imports,GoFiles"
	out, err := exec.CommandContext(t.Context(), "go", "list", fields, "./...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode the list of packages: %v", err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

func TestPackagesImportOnlyWhatTheTableAllows(t *testing.T) {
	found := make(map[string]bool)
	for _, p := range packages(t) {
		name := p.name()
		found[name] = true
		allowed, ok := imports[name]
		if !ok {
			t.Errorf("%s has no entry in the table of imports", name)
			continue
		}
		for _, path := range p.Imports {
			imported, ours := within(path)
			if !ours || imported == "chat" && name != "chat" || imported == "internal/metric" && name != "internal/metric" {
				continue
			}
			if !slices.Contains(allowed, imported) && !slices.Contains(allowed, "*") {
				t.Errorf("%s may not import %s", name, imported)
			}
		}
	}
	for name := range imports {
		if !found[name] {
			t.Errorf("the table of imports has an entry for %s, which does not exist", name)
		}
	}
}

// drivers are the packages that connect to a database.
var drivers = []string{
	"database/sql", "github.com/jackc/", "zombiezen.com/go/sqlite", "modernc.org/", "github.com/pressly/goose",
}

// driverUsers are the packages that may import drivers.
var driverUsers = []string{
	"internal/database", "internal/testkit/pgtest", "bench/db",
	"bench/ops",                      // checks from outside that what was acknowledged is stored
	"cmd/chowk-lab/internal/oldways", // models servers that hold connections, to show what happens then
}

func TestOnlyPackageDatabaseImportsDrivers(t *testing.T) {
	for _, p := range packages(t) {
		if slices.Contains(driverUsers, p.name()) {
			continue
		}
		for _, imported := range p.Imports {
			for _, driver := range drivers {
				if strings.HasPrefix(imported, driver) {
					t.Errorf("%s imports %s", p.name(), imported)
				}
			}
		}
	}
}

// laboratory lists what must not be in the shipped binary.
var laboratory = []string{"internal/history", "internal/testkit", "cmd/chowk-lab", "bench", "test"}

func TestTheShippedBinaryHoldsNoLaboratory(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/chowk").Output()
	if err != nil {
		t.Fatalf("list the packages of the binary: %v", err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		name, ours := within(path)
		for _, lab := range laboratory {
			if ours && (name == lab || strings.HasPrefix(name, lab+"/")) {
				t.Errorf("cmd/chowk imports %s", name)
			}
		}
	}
}

func TestEachPackageHasAComment(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.name())
		}
	}
}

// starters are the packages that may start goroutines.
var starters = []string{
	".", "internal/journal", "internal/hub", "internal/relay", "internal/gateway", "internal/netpoll",
	"internal/store", "internal/database", "internal/auth", "internal/canary", "internal/testkit",
	"internal/testkit/pgtest", "internal/store/storetest", "cmd/chowk", "bench/db", "bench/ops", "client",
	"internal/bench",
	"cmd/chowk-lab/internal/incident", "cmd/chowk-lab/internal/oldways",
}

func TestGoroutinesStartOnlyInNamedPackagesAndSayWhenTheyEnd(t *testing.T) {
	for _, p := range packages(t) {
		for _, file := range p.GoFiles {
			checkGoroutines(t, p, file)
		}
	}
}

func checkGoroutines(t *testing.T, p goPackage, name string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	explained := make(map[int]bool) // lines whose comment says when the goroutine ends
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.Contains(c.Text, "ends ") {
				explained[fset.Position(c.Pos()).Line] = true
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		line, ok := startsGoroutine(fset, n)
		if !ok {
			return true
		}
		if !slices.Contains(starters, p.name()) {
			t.Errorf("%s/%s:%d starts a goroutine, which this package may not", p.name(), name, line)
		}
		if !explained[line] && !explained[line-1] {
			t.Errorf("%s/%s:%d starts a goroutine without a comment that says when it ends", p.name(), name, line)
		}
		return true
	})
}

// startsGoroutine finds go statements and calls of a method called Go.
func startsGoroutine(fset *token.FileSet, n ast.Node) (line int, ok bool) {
	switch n := n.(type) {
	case *ast.GoStmt:
		return fset.Position(n.Pos()).Line, true
	case *ast.CallExpr:
		if sel, isSel := n.Fun.(*ast.SelectorExpr); isSel && sel.Sel.Name == "Go" && len(n.Args) == 1 {
			return fset.Position(sel.Sel.Pos()).Line, true
		}
	}
	return 0, false
}
