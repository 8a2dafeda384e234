// Package chowk holds the house up: the tests here are about all rooms together.
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

const module = "github.com/chowk-chat/chowk/"

// rooms says which of our packages each may import, besides chat and
// internal/metric. A package that is not here fails the test: a new room is a
// decision.
var rooms = map[string][]string{
	"chat":                           {},
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
	"internal/database/databasetest": {},
	"internal/store":                 {"internal/database", "internal/store/migrations", "internal/trace", "internal/state", "internal/model", "internal/async"},
	"internal/store/migrations":      {},
	"internal/journal":               {"internal/trace", "internal/state", "internal/async"},
	"internal/command":               {"internal/state", "internal/model"},
	"internal/hub":                   {"internal/hub/internal/compact", "internal/frame", "internal/trace", "internal/async"},
	"internal/relay":                 {"internal/model", "internal/async"},
	"internal/auth":                  {"internal/model", "internal/async", "internal/ratelimit"},
	"internal/gateway":               {"internal/command", "internal/hub", "internal/netpoll", "internal/frame", "internal/auth", "internal/trace", "internal/model", "internal/async", "internal/ratelimit"},
	"internal/api":                   {"internal/command", "internal/auth", "internal/trace", "web", "internal/model", "internal/ratelimit"},
	"internal/ops":                   {},
	"internal/canary":                {},
	"client":                         {"internal/async"},
	"internal/history":               {},
	"internal/faultclock":            {},
	"internal/doctor":                {"internal/store", "internal/ops", "internal/relay"},
	"internal/bench":                 {"internal/bench/report", "internal/frame", "internal/async"},
	"internal/bench/report":          {},
	"web":                            {},
	"cmd/chowk":                      {"*"},
	"deploy/gen":                     {},
	"internal/testkit":               {},
	"internal/testkit/pgtest":        {},
	"internal/testkit/faultresult":   {"internal/history"},
	"cmd/chowk-lab": {
		"internal/bench", "internal/bench/report", "internal/history", "internal/testkit", "internal/testkit/pgtest", "internal/testkit/faultresult",
		"cmd/chowk-lab/internal/incident",
	},
	"cmd/chowk-lab/internal/oldways":  {},
	"cmd/chowk-lab/internal/incident": {"internal/bench", "internal/testkit", "cmd/chowk-lab/internal/oldways", "internal/bench/report", "internal/async"},
	"internal/store/storetest":        {"internal/store", "internal/testkit/pgtest", "internal/state", "internal/model"},
	"test/schema":                     {},
	"bench/internal/usage":            {},
	"bench/compare":                   {},
	"bench/db":                        {"internal/store", "internal/journal", "internal/testkit/pgtest", "internal/state", "internal/model", "bench/internal/usage", "internal/async"},
	"bench/ops": {
		"internal/model",
		"client", "internal/async", "internal/auth", "internal/bench", "internal/bench/report", "internal/testkit", "internal/frame", "internal/gateway", "internal/hub", "internal/journal",
		"internal/netpoll", "internal/testkit/pgtest", "internal/store", "internal/command", "bench/internal/usage",
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

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Doc,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("list packages: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read the list of packages: %v", err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
}

func TestRoomsImportOnlyWhatTheTableAllows(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		allowed, known := rooms[room]
		if !known {
			t.Errorf("%s is in no line of the table of rooms", room)
			continue
		}
		for _, imported := range p.Imports {
			ours, isOurs := strings.CutPrefix(imported, module)
			if !isOurs || ours == "chat" && room != "chat" || ours == "internal/metric" && room != "internal/metric" {
				continue
			}
			if !slices.Contains(allowed, ours) && !slices.Contains(allowed, "*") {
				t.Errorf("%s may not import %s", room, ours)
			}
		}
	}
}

func TestOnlyPackageDatabaseImportsDrivers(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if room == "internal/database" || room == "internal/testkit/pgtest" || room == "bench/db" {
			continue
		}
		if room == "bench/ops" {
			continue // it looks from outside whether what was acknowledged is stored
		}
		if room == "cmd/chowk-lab/internal/oldways" {
			continue // it models servers that hold connections, to show what comes of it
		}
		for _, imported := range p.Imports {
			for _, driver := range []string{"database/sql", "github.com/jackc/", "zombiezen.com/go/sqlite", "modernc.org/", "github.com/pressly/goose"} {
				if strings.HasPrefix(imported, driver) {
					t.Errorf("%s imports %s", room, imported)
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
		room := strings.TrimPrefix(path, module)
		for _, lab := range laboratory {
			if room != path && (room == lab || strings.HasPrefix(room, lab+"/")) {
				t.Errorf("cmd/chowk imports %s", room)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// goers are the rooms that may start goroutines.
var goers = []string{
	"internal/journal", "internal/hub", "internal/relay", "internal/gateway", "internal/netpoll", "internal/store", "internal/database", "internal/auth", "internal/canary",
	"internal/testkit", "internal/testkit/pgtest", "internal/store/storetest", "cmd/chowk", "bench/db", "bench/ops", "client",
	"internal/bench", "cmd/chowk-lab/internal/incident", "cmd/chowk-lab/internal/oldways",
}

func TestGoroutinesStartOnlyInNamedRoomsAndSayWhenTheyEnd(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			says := make(map[int]bool)
			for _, group := range f.Comments {
				for _, c := range group.List {
					if strings.Contains(c.Text, "ends ") {
						says[fset.Position(c.Pos()).Line] = true
					}
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				line, ok := startsGoroutine(fset, n)
				if !ok {
					return true
				}
				if !slices.Contains(goers, room) {
					t.Errorf("%s/%s:%d starts a goroutine in a room that may not", room, name, line)
				}
				if !says[line] && !says[line-1] {
					t.Errorf("%s/%s:%d starts a goroutine without saying when it ends", room, name, line)
				}
				return true
			})
		}
	}
}

// startsGoroutine finds go statements and calls of a Go method.
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
