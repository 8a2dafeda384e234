package store_test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

// takers are the functions that take a statement, with the index of that argument.
var takers = map[string]int{"Queue": 0, "Repeat": 0, "RepeatText": 0, "Query": 1, "Exec": 1, "updateUser": 1}

// named matches the beginning of a statement, if only up to a name that is a variable.
var named = regexp.MustCompile(`^-- name: ([a-z][a-z_]*\n|$)`)

// TestEveryStatementHasAName reads the source, since not every statement is executed in a
// test. Statements that package table builds always have one.
func TestEveryStatementHasAName(t *testing.T) {
	t.Parallel()
	loaded, err := packages.Load(&packages.Config{
		Mode:    packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax | packages.NeedName | packages.NeedImports,
		Context: t.Context(),
	}, "github.com/chowk-chat/chowk/internal/store", "github.com/chowk-chat/chowk/internal/database")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, p := range loaded {
		s := statements{p.TypesInfo, values(p)}
		for _, f := range p.Syntax {
			ast.Inspect(f, func(n ast.Node) bool {
				e := s.sent(n)
				if e == nil {
					return true
				}
				text, known := s.beginning(e)
				if known {
					found++
				}
				if known && !named.MatchString(text) {
					t.Errorf("%s: a statement without a name: %.60q", p.Fset.Position(e.Pos()), text)
				}
				return true
			})
		}
	}
	if found < 80 {
		t.Errorf("only %d statements were found", found)
	}
}

// values returns the values of a package's variables.
func values(p *packages.Package) map[types.Object]ast.Expr {
	all := make(map[types.Object]ast.Expr)
	for _, init := range p.TypesInfo.InitOrder {
		for _, v := range init.Lhs {
			all[v] = init.Rhs
		}
	}
	return all
}

type statements struct {
	info   *types.Info
	values map[types.Object]ast.Expr
}

// sent returns the text that n sends, nil when it sends none.
func (s statements) sent(n ast.Node) ast.Expr {
	call, isCall := n.(*ast.CallExpr)
	if !isCall {
		return nil
	}
	var called *ast.Ident
	switch f := call.Fun.(type) {
	case *ast.Ident:
		called = f
	case *ast.SelectorExpr:
		called = f.Sel
	default:
		return nil
	}
	object := s.info.Uses[called]
	if object == nil || object.Pkg() == nil || !strings.HasPrefix(object.Pkg().Path(), "github.com/chowk-chat/") {
		return nil // a driver's
	}
	if place, takes := takers[called.Name]; takes && len(call.Args) > place {
		return call.Args[place]
	}
	return nil
}

// beginning returns how a text begins, as far as it is known without running the code.
func (s statements) beginning(e ast.Expr) (text string, known bool) {
	if v := s.info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return s.beginning(e.X)
	case *ast.Ident:
		if value := s.values[s.info.Uses[e]]; value != nil {
			return s.beginning(value)
		}
	}
	return "", false
}
