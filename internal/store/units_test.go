package store_test

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// TestNothingThatIsExportedIsAConnection proves that nobody outside can hold one:
// no exported function, method, field, variable or type of the store takes or
// gives a connection, a transaction or rows, however deep inside.
func TestNothingThatIsExportedIsAConnection(t *testing.T) {
	t.Parallel()
	const ours = "github.com/chowk-chat/chowk/internal/store"
	loaded, err := packages.Load(&packages.Config{Mode: packages.NeedTypes | packages.NeedName | packages.NeedImports, Context: t.Context()},
		ours, ours+"/storetest", "github.com/chowk-chat/chowk/internal/database", "github.com/jackc/pgx/v5/pgxpool", "database/sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range loaded {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		s := &search{own: p.Types, seen: map[types.Type]bool{}}
		s.scope(p.Types.Scope())
		if strings.HasPrefix(p.PkgPath, ours) {
			for _, f := range s.found {
				t.Error(f)
			}
		} else if len(s.found) == 0 {
			t.Errorf("the search finds nothing in %s, which gives connections away", p.PkgPath)
		}
	}
}

// search looks for what may hold a connection.
type search struct {
	own   *types.Package
	seen  map[types.Type]bool
	found []string
}

// drivers are the packages whose types must not get out.
var drivers = []string{"github.com/jackc/", "database/sql", "zombiezen.com/go/sqlite", "modernc.org/", "github.com/pressly/goose"}

// lent are the types of package database with which a connection is used.
var lent = []string{"DB", "Conn", "Row", "Statement", "Repeater", "Binder", "Columns"}

func (s *search) scope(scope *types.Scope) {
	for _, name := range scope.Names() {
		if o := scope.Lookup(name); o.Exported() {
			s.look(o.Name(), o.Type())
		}
	}
}

func (s *search) look(where string, t types.Type) {
	if s.seen[t] {
		return
	}
	s.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		s.look(where, types.Unalias(t))
	case *types.Named:
		s.named(where, t)
	case *types.Pointer:
		s.look(where, t.Elem())
	case *types.Slice:
		s.look(where, t.Elem())
	case *types.Array:
		s.look(where, t.Elem())
	case *types.Map:
		s.look(where, t.Key())
		s.look(where, t.Elem())
	case *types.Chan:
		s.look(where, t.Elem())
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				s.look(where, v.Type())
			}
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				s.look(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		if t.Empty() && !strings.HasSuffix(where, ".Entry.Wire") { // which the hub sets and no store sees
			s.found = append(s.found, where+": any may be anything")
		}
		for m := range t.Methods() {
			s.look(where+"."+m.Name(), m.Type())
		}
	}
}

func (s *search) named(where string, t *types.Named) {
	o := t.Obj()
	if o.Pkg() == nil {
		return // error
	}
	path := o.Pkg().Path()
	for _, d := range drivers {
		if strings.HasPrefix(path, d) {
			s.found = append(s.found, fmt.Sprintf("%s: %s.%s", where, path, o.Name()))
			return
		}
	}
	if path == "github.com/chowk-chat/chowk/internal/database" && slices.Contains(lent, o.Name()) {
		s.found = append(s.found, fmt.Sprintf("%s: database.%s", where, o.Name()))
		return
	}
	switch {
	case o.Pkg() == s.own && !token.IsExported(o.Name()):
		s.found = append(s.found, fmt.Sprintf("%s: %s is not for outside", where, o.Name()))
		return
	case !strings.HasPrefix(path, "github.com/chowk-chat/"):
		return // the standard library knows no database beside database/sql
	}
	for m := range t.Methods() {
		if m.Exported() {
			s.look(where+"."+m.Name(), m.Type())
		}
	}
	s.look(where, t.Underlying())
}
