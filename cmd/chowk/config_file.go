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

	"github.com/chowk-chat/chowk/internal/settings"
)

const defaultFile = "chowk.yaml"

// readFile reads the YAML file called path, or with "" ./chowk.yaml if there is one. It
// walks the syntax tree so that each error has a line.
func readFile(all []settings.Setting, path string) (map[string]given, string, []error) {
	named := path != ""
	if !named {
		path = defaultFile
	}
	data, err := os.ReadFile(path)
	switch {
	case !named && errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	case err != nil:
		return nil, path, []error{fmt.Errorf("read the settings file: %w", err)}
	}
	r := fileReader{path: path, all: all, found: make(map[string]given)}
	r.read(data)
	return r.found, path, r.problems
}

type fileReader struct {
	path     string
	all      []settings.Setting
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
		// The library's own text quotes the lines around it, secrets included.
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
			r.problem(doc.Body, "only one document is allowed: everything after --- would be ignored")
			return
		}
		r.walk("", doc.Body)
	}
}

// walk joins nested keys with dots until they name a setting.
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
		r.problem(n, "%s is a group of settings: %s", prefix, strings.Join(r.namesIn(prefix), ", "))
	}
}

func (r *fileReader) pair(prefix string, v *ast.MappingValueNode) {
	key, ok := v.Key.(*ast.StringNode)
	if !ok {
		r.problem(v.Key, "the name of a setting must be plain text")
		return
	}
	name := key.Value
	if prefix != "" {
		name = prefix + "." + name
	}
	if name == "auth.mode" { // next to auth.jwt-secret and the like
		name = "auth"
	}
	i := slices.IndexFunc(r.all, func(s settings.Setting) bool { return s.Name == name })
	_, isMapping := v.Value.(*ast.MappingNode)
	_, isPair := v.Value.(*ast.MappingValueNode)
	isGroup := isMapping || isPair
	if i < 0 || isGroup && len(r.namesIn(name)) > 0 {
		r.nested(name, key, v)
		return
	}
	if _, empty := v.Value.(*ast.NullNode); empty {
		return // as if the line were absent
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
	r.found[name] = given{value, source{inFile, where}}
}

func (r *fileReader) nested(name string, key ast.Node, v *ast.MappingValueNode) {
	if err := renamedInFile(name); err != nil {
		r.problem(key, "%v", err)
		return
	}
	if len(r.namesIn(name)) == 0 {
		r.problem(key, "%s is not a setting%s", name, didYouMean(name, r.names()))
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
		names = append(names, s.Name)
	}
	return names
}

// namesIn returns the names of the settings in a group.
func (r *fileReader) namesIn(group string) (names []string) {
	for _, name := range r.names() {
		if strings.HasPrefix(name, group+".") {
			names = append(names, name)
		}
	}
	return names
}
