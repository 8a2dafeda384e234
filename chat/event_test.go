package chat

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// TestEveryEventTypeHasALine: Go cannot list the constants of a type, so the test
// reads them from the source.
func TestEveryEventTypeHasALine(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "EventType" || len(spec.Values) != 1 {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		declared++
		if eventSpecs[EventType(name)] == nil {
			t.Errorf("%s has no line in the table of events", spec.Names[0].Name)
		}
		return true
	})
	if declared != len(events) {
		t.Errorf("%d types are declared, %d have a line", declared, len(events))
	}
}

// TestAnIncompleteLineStopsTheProgram before anything is sent.
func TestAnIncompleteLineStopsTheProgram(t *testing.T) {
	frame := reflect.TypeFor[TypingFrame]()
	good := EventSpec{Type: "a", Kind: TransientEvent, Doc: "A.", Frame: frame}
	for what, lines := range map[string][]EventSpec{
		"two lines":    {good, good},
		"no type":      {{Kind: TransientEvent, Doc: "A.", Frame: frame}},
		"type or kind": {{Type: "a", Doc: "A.", Frame: frame}},
		"description":  {{Type: "a", Kind: TransientEvent, Frame: frame}},
		"neither":      {{Type: "a", Kind: TransientEvent, Doc: "A."}},
		"no fields":    {{Type: "a", Kind: LogEvent, Doc: "A."}},
		"only entries": {{Type: "a", Kind: TransientEvent, Doc: "A.", Frame: frame, Fields: []Field{userField}}},
		"a recipient":  {{Type: "a", Kind: LogEvent, Doc: "A.", Fields: []Field{userField}, Personal: "a"}},
		"personal form": {
			{Type: "a", Kind: LogEvent, Doc: "A.", Fields: []Field{userField}, Recipient: subject, Personal: "b"},
		},
		"no field": {{Type: "a", Kind: LogEvent, Doc: "A.", Fields: []Field{{goName: "Nothing"}}}},
	} {
		if got := panicOf(func() { indexEvents(lines) }); !strings.Contains(got, what) {
			t.Errorf("%s: the panic is %q", what, got)
		}
	}
}

func panicOf(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = p.(string)
		}
	}()
	f()
	return ""
}

// TestEntriesOfUnknownTypesAreNotSent: encoding one is a fault of the program.
func TestEntriesOfUnknownTypesAreNotSent(t *testing.T) {
	e := Entry{Type: "unknown", ChannelID: NewID(), Seq: 1}
	if e.Valid() {
		t.Error("an entry of an unknown type is valid")
	}
	if panicOf(func() { e.AppendShared(nil) }) == "" {
		t.Error("an entry of an unknown type was encoded")
	}
}
