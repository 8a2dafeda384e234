package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const defaultFile = "chowk.yaml"

// fromFile reads the YAML file: the one that was named, or else ./chowk.yaml if
// there is one. It walks the syntax tree so that each complaint has a line.
func fromFile(all []setting, path string) (map[string]given, string, []error) {
	named := path != ""
	if !named {
		path = defaultFile
	}
	data, err := os.ReadFile(path)
	switch {
	case !named && errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case err != nil:
		return nil, path, []error{fmt.Errorf("read configuration: %w", err)}
	}
	r := fileReader{path: path, all: all, found: make(map[string]given)}
	r.read(data)
	return r.found, path, r.problems
}

type fileReader struct {
	path     string
	all      []setting
	found    map[string]given
	problems []error
}

func (r *fileReader) problem(n ast.Node, format string, args ...any) {
	line := 1
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.path, line, fmt.Sprintf(format, args...)))
}

func (r *fileReader) read(data []byte) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		// The library's own text quotes the lines around, with their secrets.
		line, message := 1, "not YAML"
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) {
			message = syntax.Message
			if syntax.Token != nil && syntax.Token.Position != nil {
				line = syntax.Token.Position.Line
			}
		}
		r.problems = append(r.problems, fmt.Errorf("%s:%d: %s", r.path, line, message))
		return
	}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			r.problem(doc.Body, "one document is enough: everything after --- would be ignored")
			return
		}
		r.walk("", doc.Body)
	}
}

// walk joins nested keys by dots until it comes to a setting.
func (r *fileReader) walk(prefix string, n ast.Node) {
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode: // a heading with everything under it commented out
	case *ast.MappingValueNode:
		r.pair(prefix, n)
	case *ast.MappingNode:
		for _, v := range n.Values {
			r.pair(prefix, v)
		}
	default:
		if prefix == "" {
			r.problem(n, "expected settings such as `listen: 127.0.0.1:8080`")
			return
		}
		r.problem(n, "%s: no such setting%s", prefix, didYouMean(prefix, r.names()))
	}
}

func (r *fileReader) pair(prefix string, v *ast.MappingValueNode) {
	key, ok := v.Key.(*ast.StringNode)
	if !ok {
		r.problem(v.Key, "a setting's name must be plain text")
		return
	}
	name := key.Value
	if prefix != "" {
		name = prefix + "." + name
	}
	if name == "auth.mode" { // beside auth.jwt-secret and the like
		name = "auth"
	}
	i := slices.IndexFunc(r.all, func(s setting) bool { return s.name == name })
	_, isMapping := v.Value.(*ast.MappingNode)
	_, isPair := v.Value.(*ast.MappingValueNode)
	if i < 0 || isMapping || isPair {
		r.nested(name, key, v)
		return
	}
	if _, empty := v.Value.(*ast.NullNode); empty {
		return // as if the line were not there
	}
	value, ok := r.text(v.Value)
	if !ok {
		r.problem(v.Value, "%s must be a plain value or a list of them", name)
		return
	}
	if _, twice := r.found[name]; twice {
		r.problem(key, "%s is set twice", name)
		return
	}
	where := fmt.Sprintf("%s:%d", r.path, key.GetToken().Position.Line)
	r.found[name] = given{value, source{Kind: "file", Where: where}}
}

func (r *fileReader) nested(name string, key ast.Node, v *ast.MappingValueNode) {
	if err := renamedInFile(name); err != nil {
		r.problem(key, "%v", err)
		return
	}
	if !slices.ContainsFunc(r.all, func(s setting) bool { return strings.HasPrefix(s.name, name+".") }) {
		r.problem(key, "%s: no such setting%s", name, didYouMean(name, r.names()))
		return
	}
	r.walk(name, v.Value)
}

func (r *fileReader) text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.SequenceNode:
		items := make([]string, 0, len(n.Values))
		for _, item := range n.Values {
			text, ok := r.text(item)
			if _, list := item.(*ast.SequenceNode); !ok || list {
				return "", false
			}
			items = append(items, text)
		}
		return strings.Join(items, ","), true
	}
	return "", false
}

func (r *fileReader) names() []string {
	names := make([]string, 0, len(r.all))
	for _, s := range r.all {
		names = append(names, s.name)
	}
	return names
}
