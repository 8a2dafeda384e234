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

const (
	storePath    = "github.com/chowk-chat/chowk/internal/store"
	databasePath = "github.com/chowk-chat/chowk/internal/database"
)

// lent are the types of package database with which a connection is used.
var lent = []string{"DB", "Conn", "Row", "Statement", "Repeater", "Binder", "Columns"}

// drivers are the packages whose types must not be exported.
var drivers = []string{
	"github.com/jackc/", "database/sql", "zombiezen.com/go/sqlite", "modernc.org/", "github.com/pressly/goose",
}

// TestNoConnectionIsExported proves that no code outside can hold one: no exported function,
// method, field, variable or type of the store accepts or returns a connection, a transaction
// or rows, at any depth.
func TestNoConnectionIsExported(t *testing.T) {
	t.Parallel()
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedTypes | packages.NeedName | packages.NeedImports, Context: t.Context(),
	}, storePath, storePath+"/storetest", databasePath, "github.com/jackc/pgx/v5/pgxpool", "database/sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range loaded {
		for _, e := range p.Errors {
			t.Fatal(e)
		}
		s := &search{own: p.Types, seen: map[types.Type]bool{}}
		s.scope(p.Types.Scope())
		if strings.HasPrefix(p.PkgPath, storePath) {
			for _, f := range s.found {
				t.Error(f)
			}
		} else if len(s.found) == 0 {
			t.Errorf("the search finds no connection in %s, which exports some", p.PkgPath)
		}
	}
}

// search searches exported types for what may hold a connection.
type search struct {
	own   *types.Package
	seen  map[types.Type]bool
	found []string
}

func (s *search) scope(scope *types.Scope) {
	for _, name := range scope.Names() {
		if o := scope.Lookup(name); o.Exported() {
			s.visit(o.Name(), o.Type())
		}
	}
}

func (s *search) visit(where string, t types.Type) {
	if s.seen[t] {
		return
	}
	s.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		s.visit(where, types.Unalias(t))
	case *types.Named:
		s.named(where, t)
	case *types.Map:
		s.visit(where, t.Key())
		s.visit(where, t.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays and channels
		s.visit(where, t.Elem())
	case *types.Signature:
		for _, tuple := range []*types.Tuple{t.Params(), t.Results()} {
			for v := range tuple.Variables() {
				s.visit(where, v.Type())
			}
		}
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() {
				s.visit(where+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		s.iface(where, t)
	}
}

func (s *search) iface(where string, t *types.Interface) {
	if t.Empty() && !strings.HasSuffix(where, ".Entry.Wire") { // which only the hub sets
		s.found = append(s.found, where+": any may hold a connection")
	}
	for m := range t.Methods() {
		s.visit(where+"."+m.Name(), m.Type())
	}
}

func (s *search) named(where string, t *types.Named) {
	o := t.Obj()
	if o.Pkg() == nil {
		return // error
	}
	path := o.Pkg().Path()
	driver := slices.ContainsFunc(drivers, func(d string) bool { return strings.HasPrefix(path, d) })
	switch {
	case driver, path == databasePath && slices.Contains(lent, o.Name()):
		s.found = append(s.found, fmt.Sprintf("%s: %s.%s", where, path, o.Name()))
		return
	case o.Pkg() == s.own && !token.IsExported(o.Name()):
		s.found = append(s.found, fmt.Sprintf("%s: %s is not exported", where, o.Name()))
		return
	case !strings.HasPrefix(path, "github.com/chowk-chat/"):
		return // the rest of the standard library has no connections
	}
	for m := range t.Methods() {
		if m.Exported() {
			s.visit(where+"."+m.Name(), m.Type())
		}
	}
	s.visit(where, t.Underlying())
}
