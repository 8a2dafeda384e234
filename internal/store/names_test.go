package store_test

import (
	"go/ast"
	"go/constant"
	"go/types"
	"regexp"
	"testing"

	"golang.org/x/tools/go/packages"
)

// takers are the functions that take a statement, by the place of it among their
// arguments.
var takers = map[string]int{"Queue": 0, "Repeat": 0, "queueWrite": 0, "Query": 1, "Exec": 1, "updateUser": 1}

// named is how a statement begins, if only with a name that is a variable.
var named = regexp.MustCompile(`^-- name: ([a-z][a-z_]*\n|$)`)

// TestEveryStatementHasAName looks at the source, since not every statement is
// carried out in a test.
func TestEveryStatementHasAName(t *testing.T) {
	t.Parallel()
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax | packages.NeedName | packages.NeedImports, Context: t.Context(),
	}, "github.com/chowk-chat/chowk/internal/store")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, f := range loaded[0].Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			e := statementIn(loaded[0].TypesInfo, n)
			if e == nil {
				return true
			}
			text, known := beginning(loaded[0].TypesInfo, e)
			if known {
				found++
			}
			if known && !named.MatchString(text) {
				t.Errorf("%s: a statement without a name: %.60q", loaded[0].Fset.Position(e.Pos()), text)
			}
			return true
		})
	}
	if found < 60 {
		t.Errorf("only %d statements were found", found)
	}
}

// statementIn is the text that n sends or keeps to be sent, nil when it is nothing
// of the kind.
func statementIn(info *types.Info, n ast.Node) ast.Expr {
	switch n := n.(type) {
	case *ast.CallExpr:
		if place, takes := takers[calledName(n)]; takes && len(n.Args) > place {
			return n.Args[place]
		}
	case *ast.CompositeLit:
		if kind, ok := info.TypeOf(n).(*types.Named); ok && kind.Obj().Name() == "statement" && len(n.Elts) > 0 {
			return n.Elts[0]
		}
	}
	return nil
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// beginning is how a text begins, as far as it is known without running the code.
func beginning(info *types.Info, e ast.Expr) (text string, known bool) {
	if v := info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v), true
	}
	sum, isSum := e.(*ast.BinaryExpr)
	if !isSum {
		return "", false
	}
	return beginning(info, sum.X)
}
