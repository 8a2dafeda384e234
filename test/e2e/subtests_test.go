package e2e

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"testing"
)

// TestSubtestsReportTheirOwnFailures checks that subtests do not use a server or
// client of an enclosing test: that fails the enclosing test, and ends the subtest's
// goroutine without failing the subtest. Subtests use in(t).
func TestSubtestsReportTheirOwnFailures(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	for _, pos := range outerUses(fset, parse(t, fset)) {
		t.Errorf("%s: this fails an enclosing test; use in(t)", fset.Position(pos))
	}
}

func TestOuterUsesAreFound(t *testing.T) {
	t.Parallel()
	const source = `package e2e
type T struct{}
func (*T) Run(string, func(t *T)) {}
type server struct{ url string }
func (s *server) in(t *T) *server { return s }
func (s *server) must() {}
func serve(t *T) *server { return nil }
func try(t *T, s *server) {}
func test(t *T) {
	s := serve(t)
	s.must()
	t.Run("", func(t *T) {
		s.must()       // line 13
		try(t, s)      // line 14
		_ = s.url
		s.in(t).must()
		try(t, s.in(t))
		s := serve(t)
		s.must()
	})
}`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var lines []int
	for _, pos := range outerUses(fset, []*ast.File{f}) {
		lines = append(lines, fset.Position(pos).Line)
	}
	if len(lines) != 2 || lines[0] != 13 || lines[1] != 14 {
		t.Errorf("found lines %v, want 13 and 14", lines)
	}
}

// parse returns the syntax trees of this package's tests.
func parse(t *testing.T, fset *token.FileSet) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		f, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// noImports resolves no import: the types of this package are enough.
type noImports struct{}

func (noImports) Import(string) (*types.Package, error) { return nil, errors.New("not resolved") }

// outerUses returns the positions at which subtests call methods on, or pass on, a
// server or client declared outside them.
func outerUses(fset *token.FileSet, files []*ast.File) (uses []token.Pos) {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object)}
	conf := types.Config{Importer: noImports{}, Error: func(error) {}}
	_, _ = conf.Check("e2e", fset, files, info) // the errors are about imports
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			subtest := asSubtest(n)
			if subtest == nil {
				return true
			}
			ast.Inspect(subtest.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					uses = append(uses, outerInCall(info, subtest, call)...)
				}
				return true
			})
			return true
		})
	}
	return uses
}

// asSubtest returns the function passed to Run, or nil for other nodes.
func asSubtest(n ast.Node) *ast.FuncLit {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 2 {
		return nil
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Run" {
		return nil
	}
	f, _ := call.Args[1].(*ast.FuncLit)
	return f
}

// outerInCall returns the positions of the receiver and arguments of a call that are
// servers or clients from outside the subtest.
func outerInCall(info *types.Info, subtest *ast.FuncLit, call *ast.CallExpr) (uses []token.Pos) {
	candidates := call.Args
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name != "in" {
		candidates = append([]ast.Expr{sel.X}, candidates...)
	}
	for _, x := range candidates {
		id, ok := x.(*ast.Ident)
		if !ok {
			continue
		}
		obj := info.Uses[id]
		if obj == nil || !failsTests(obj.Type()) {
			continue
		}
		if obj.Pos() < subtest.Pos() || obj.Pos() > subtest.End() {
			uses = append(uses, id.Pos())
		}
	}
	return uses
}

// failsTests reports whether a type contains a testing.T that it fails.
func failsTests(t types.Type) bool {
	p, ok := t.(*types.Pointer)
	if !ok {
		return false
	}
	named, ok := p.Elem().(*types.Named)
	return ok && (named.Obj().Name() == "server" || named.Obj().Name() == "client")
}
