package api

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const (
	docsPath  = "/api/docs"
	stylePath = docsPath + "/style.css"
)

//go:embed docs
var docsFiles embed.FS

// documents serves the description of the API: for programs as OpenAPI, for people
// as a page. Both are made once, from the same tables as the calls.
func (d *handler) documents() {
	spec := d.api.OpenAPI()
	completeSchemas(spec.Components.Schemas)
	asJSON, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		panic("api: encode the description: " + err.Error())
	}
	asYAML, err := spec.YAML()
	if err != nil {
		panic("api: encode the description: " + err.Error())
	}
	events, err := asyncAPI()
	if err != nil {
		panic("api: encode the description of events: " + err.Error())
	}
	style, err := docsFiles.ReadFile("docs/style.css")
	if err != nil {
		panic("api: read the style: " + err.Error())
	}
	page := renderDocs(spec)
	d.fixed(prefix+"/openapi.json", "application/openapi+json", "", asJSON)
	d.fixed(prefix+"/openapi.yaml", "application/openapi+yaml", "", asYAML)
	d.fixed(prefix+"/asyncapi.json", "application/json", "", events)
	d.fixed(stylePath, "text/css; charset=utf-8", "", style)
	d.fixed(docsPath, "text/html; charset=utf-8",
		"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'", page)
}

// fixed serves what does not change while the process runs.
func (d *handler) fixed(path, contentType, policy string, content []byte) {
	d.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		if policy != "" {
			h.Set("Content-Security-Policy", policy)
		}
		_, _ = w.Write(content)
	})
}

// What the page shows.
type (
	docsPage struct {
		Title, Description string
		Style, JSON, YAML  string
		Groups             []docsGroup
		Schemas            []docsSchema
	}
	docsGroup struct {
		Name, Description string
		Calls             []docsCall
	}
	docsCall struct {
		ID, Method, Path, Summary string
		Public                    bool
		Parameters                []docsField
		Body, Answer              docsType
		BodyOptional              bool
		Status                    string
	}
	docsField struct {
		Name, In, Doc string
		Type          docsType
		Required      bool
		Limits        string
	}
	docsSchema struct {
		Name   string
		Fields []docsField
	}
	// docsType is a type in words, and the schema that it links to.
	docsType struct{ Before, Link, After string }
)

var docsTemplate = template.Must(template.ParseFS(docsFiles, "docs/page.html"))

func renderDocs(spec *huma.OpenAPI) []byte {
	page := docsPage{
		Title: spec.Info.Title, Description: strings.ReplaceAll(spec.Info.Description, "`", ""),
		Style: stylePath, JSON: prefix + "/openapi.json", YAML: prefix + "/openapi.yaml",
	}
	for _, tag := range spec.Tags {
		page.Groups = append(page.Groups, docsGroup{tag.Name, tag.Description, docsCalls(spec, tag.Name)})
	}
	schemas := spec.Components.Schemas.Map()
	for _, name := range sortedKeys(schemas) {
		page.Schemas = append(page.Schemas, docsSchema{name, docsFields(schemas[name])})
	}
	var b bytes.Buffer
	if err := docsTemplate.ExecuteTemplate(&b, "page.html", page); err != nil {
		panic("api: render the reference: " + err.Error())
	}
	return b.Bytes()
}

func docsCalls(spec *huma.OpenAPI, tag string) (calls []docsCall) {
	for _, path := range sortedKeys(spec.Paths) {
		for _, op := range operations(spec.Paths[path]) {
			if !slices.Contains(op.Tags, tag) {
				continue
			}
			c := docsCall{ID: op.OperationID, Method: op.Method, Path: path, Summary: op.Summary, Public: len(op.Security) == 0}
			for _, p := range op.Parameters {
				c.Parameters = append(c.Parameters, docsField{
					p.Name, p.In, cmpDoc(p.Description, p.Schema), docsTypeOf(p.Schema), p.Required, limits(p.Schema),
				})
			}
			if op.RequestBody != nil {
				c.Body = docsTypeOf(op.RequestBody.Content["application/json"].Schema)
				c.BodyOptional = !op.RequestBody.Required
			}
			for status, response := range op.Responses {
				if status == "default" {
					continue
				}
				c.Status = status
				if content := response.Content["application/json"]; content != nil {
					c.Answer = docsTypeOf(content.Schema)
				}
			}
			calls = append(calls, c)
		}
	}
	return calls
}

func operations(item *huma.PathItem) (all []*huma.Operation) {
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			all = append(all, op)
		}
	}
	return all
}

func cmpDoc(doc string, s *huma.Schema) string {
	if doc == "" && s != nil {
		return s.Description
	}
	return doc
}

func docsFields(s *huma.Schema) (fields []docsField) {
	for _, name := range sortedKeys(s.Properties) {
		p := s.Properties[name]
		fields = append(fields, docsField{
			Name: name, Doc: p.Description, Type: docsTypeOf(p), Required: slices.Contains(s.Required, name), Limits: limits(p),
		})
	}
	return fields
}

func docsTypeOf(s *huma.Schema) docsType {
	switch {
	case s == nil:
		return docsType{}
	case s.Ref != "":
		return docsType{Link: s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]}
	case len(s.AnyOf) > 0:
		t := docsTypeOf(s.AnyOf[0])
		t.After += " or null"
		return t
	case s.Type == huma.TypeArray:
		t := docsTypeOf(s.Items)
		t.Before = "array of " + t.Before
		return t
	}
	t := docsType{Before: s.Type}
	if s.Format != "" && s.Format != "int64" {
		t.Before = s.Format
	}
	if s.Nullable {
		t.After = " or null"
	}
	return t
}

// limits says in words what a value must keep to.
func limits(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	var parts []string
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			words[i] = fmt.Sprint(e)
		}
		parts = append(parts, "one of "+strings.Join(words, ", "))
	}
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("%v when left out", s.Default))
	}
	if s.Minimum != nil {
		parts = append(parts, fmt.Sprintf("at least %v", *s.Minimum))
	}
	if s.Maximum != nil {
		parts = append(parts, fmt.Sprintf("at most %v", *s.Maximum))
	}
	if s.MaxLength != nil {
		parts = append(parts, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.MaxItems != nil {
		parts = append(parts, fmt.Sprintf("at most %d items", *s.MaxItems))
	}
	return strings.Join(parts, "; ")
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
