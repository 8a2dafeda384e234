package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

// base is the start of every schema's $id. It only names the schemas: nothing is
// fetched from it.
const (
	base    = "https://chowk.chat/schema/"
	dialect = "https://json-schema.org/draft/2020-12/schema"
)

// The patterns of strings that have a type of their own.
const (
	idPattern    = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
	anyIDPattern = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
	userPattern  = "^[A-Za-z0-9_.:-]{1,64}$"
	timePattern  = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$`
)

// schemas writes JSON Schemas: of what one side sends, and of the types they share.
type schemas struct {
	// id is the definition of ids: clients may spell them in either case.
	id     string
	shared *object
	seen   map[reflect.Type]bool
}

func define(name string) object { return object{{"$ref", base + "common.json#/$defs/" + name}} }

// jsonSchemas returns the files of test/schema by their name.
func jsonSchemas() map[string][]byte {
	shared := object{
		{"id", object{{"type", "string"}, {"pattern", idPattern}}},
		{"any_id", object{
			{"description", "An id as clients may spell it."}, {"type", "string"}, {"pattern", anyIDPattern},
		}},
		{"user", object{{"type", "string"}, {"pattern", userPattern}}},
		{"time", object{{"type", "string"}, {"pattern", timePattern}}},
		{"command", object{{"enum", command.Names()}}},
	}
	for _, e := range chat.Enums() {
		shared.set(snake(e.Name), object{{"enum", e.Values}})
	}
	seen := make(map[reflect.Type]bool)
	client, server := &schemas{"any_id", &shared, seen}, &schemas{"id", &shared, seen}
	files := make(map[string][]byte)
	for _, name := range command.Names() {
		files["client/"+name+".json"] = client.command(name)
	}
	for _, e := range chat.Events() {
		files["server/"+string(e.Type)+".json"] = server.event(e)
	}
	files["common.json"] = document("common.json", "Types that several messages share", object{{"$defs", shared}})
	return files
}

// document returns a schema as a file.
func document(name, title string, rest object) []byte {
	head := object{{"$schema", dialect}, {"$id", base + name}, {"title", title}}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(append(head, rest...)); err != nil {
		panic(err) // one of our own types
	}
	return b.Bytes()
}

// MarshalJSON implements [json.Marshaler].
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		var value bytes.Buffer
		encoder := json.NewEncoder(&value)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(m.value); err != nil {
			return nil, fmt.Errorf("encode %s: %w", m.key, err)
		}
		b = append(append(strconv.AppendQuote(b, m.key), ':'), bytes.TrimSpace(value.Bytes())...)
	}
	return append(b, '}'), nil
}

// command returns the schema of a command as clients send it.
func (s *schemas) command(name string) []byte {
	c := command.Table[name]
	properties := object{
		{"type", object{{"const", name}}},
		{"id", object{{"type", "string"}, {"minLength", 1}, {"maxLength", chat.MaxRequestID}}},
	}
	required := []string{"type"}
	title := command.PingDoc
	if c.In != nil {
		fields := fieldsOf(c.In)
		data := s.object(fields)
		if len(c.AnyOf) > 0 {
			var anyOf []any
			for _, f := range c.AnyOf {
				anyOf = append(anyOf, object{{"required", []string{f}}})
			}
			data.set("anyOf", anyOf)
		}
		properties.set("data", data)
		title = c.Doc
		if slices.ContainsFunc(fields, func(f field) bool { return !f.optional }) {
			required = append(required, "data")
		}
	}
	return document("client/"+name+".json", title, closed(properties, required))
}

// event returns the schema of an event as the server sends it.
func (s *schemas) event(e chat.EventSpec) []byte {
	name := "server/" + string(e.Type) + ".json"
	fields := eventFields(e)
	result := s.object(fields)
	properties := result[1].value.(object)
	properties.replace("type", object{{"const", e.Type}})
	if e.Type == chat.EventAck {
		var acked []string // a ping gets a pong
		for _, c := range command.Commands() {
			acked = append(acked, c.Name)
		}
		properties.replace("event", object{{"enum", acked}})
		result.set("allOf", s.responses())
	}
	return document(name, e.Doc, result)
}

// responses returns the conditions by which the response of an ack depends on its
// event.
func (s *schemas) responses() (all []any) {
	for _, c := range command.Commands() {
		all = append(all, object{
			{"if", object{{"properties", object{{"event", object{{"const", c.Name}}}}}}},
			{"then", object{{"properties", object{{"response", object{{"anyOf", []any{
				s.typ(c.Out), s.typ(reflect.TypeFor[chat.Refusal]()),
			}}}}}}}},
		})
	}
	return all
}

func closed(properties object, required []string) object {
	return object{
		{"type", "object"}, {"properties", properties}, {"required", required}, {"additionalProperties", false},
	}
}

func (s *schemas) object(fields []field) object {
	properties, required := object{}, []string{}
	for _, f := range fields {
		properties.set(f.name, s.field(f))
		if !f.optional {
			required = append(required, f.name)
		}
	}
	return closed(properties, required)
}

func (s *schemas) field(f field) object {
	var o object
	if doc := f.tag.Get("doc"); doc != "" {
		o.set("description", doc)
	}
	schema := s.bounded(f)
	if f.nullable() {
		schema = object{{"anyOf", []any{schema, object{{"type", "null"}}}}}
	}
	return append(o, schema...)
}

// bounded returns the schema of a field's values other than null.
func (s *schemas) bounded(f field) object {
	if values := f.values(); values != nil {
		if len(values) == 1 {
			return object{{"const", values[0]}}
		}
		return object{{"enum", values}}
	}
	if f.tag.Get("format") == "command" {
		return define("command")
	}
	o := s.typ(f.typ)
	limit, limited := chat.LimitOf(f.source)
	switch {
	case o[0].key == "$ref":
	case f.typ.Kind() == reflect.Bool && f.nonzero:
		return object{{"const", true}}
	case f.typ.Kind() == reflect.String:
		if n, ok := number(f.tag.Get("minLength"), f.nonzero); ok {
			o.set("minLength", n)
		}
		if limited {
			o.set("maxLength", limit.Max)
		}
	case f.typ.Kind() == reflect.Int64 || f.typ.Kind() == reflect.Int:
		n, _ := number(f.tag.Get("minimum"), f.nonzero)
		o[1].value = n
	case f.typ.Kind() == reflect.Slice:
		if f.nonzero && s.id == "id" { // clients may send an empty one
			o.set("minItems", 1)
		}
		if limited {
			o.set("maxItems", limit.Max)
		}
	case f.typ.Kind() == reflect.Map && limited:
		o.set("maxProperties", limit.Max)
	}
	return o
}

// number returns the number in a tag, or 1 if there is none and one is required.
func number(tag string, required bool) (n int, ok bool) {
	if tag != "" {
		n, err := strconv.Atoi(tag)
		if err != nil {
			panic(err)
		}
		return n, true
	}
	if required {
		return 1, true
	}
	return 0, false
}

// typ returns the schema of a type.
func (s *schemas) typ(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[chat.ID]():
		return define(s.id)
	case reflect.TypeFor[chat.UserID]():
		return define("user")
	case reflect.TypeFor[chat.Time]():
		return define("time")
	}
	if e, ok := chat.EnumOf(t); ok {
		return define(snake(e.Name))
	}
	switch t.Kind() {
	case reflect.String:
		return object{{"type", "string"}}
	case reflect.Bool:
		return object{{"type", "boolean"}}
	case reflect.Int, reflect.Int64:
		return object{{"type", "integer"}, {"minimum", 0}} // nothing that is counted is negative
	case reflect.Pointer:
		return s.typ(t.Elem())
	case reflect.Slice:
		return object{{"type", "array"}, {"items", s.typ(t.Elem())}}
	case reflect.Map:
		return object{{"type", "object"}, {"propertyNames", s.typ(t.Key())}, {"additionalProperties", s.typ(t.Elem())}}
	case reflect.Interface:
		return object{{"type", "object"}}
	case reflect.Struct:
		return s.named(t)
	}
	panic("no schema for " + t.String())
}

// named returns a reference to a struct, and defines it once.
func (s *schemas) named(t reflect.Type) object {
	name := snake(t.Name())
	if !s.seen[t] {
		s.seen[t] = true
		s.shared.set(name, s.object(fieldsOf(t)))
	}
	return define(name)
}

// eventFields returns the fields of an event.
func eventFields(e chat.EventSpec) []field {
	if e.Frame != nil {
		return fieldsOf(e.Frame)
	}
	entry := reflect.TypeFor[chat.Entry]()
	of := func(name string) reflect.StructField {
		sf, _ := entry.FieldByName(name)
		return sf
	}
	all := []field{
		fieldOf(of("Type"), "type", ""), fieldOf(of("ChannelID"), "channel_id", ""), fieldOf(of("Seq"), "seq", ""),
	}
	for _, f := range e.Fields {
		required := fieldOf(f.StructField(), f.Name, "")
		required.pointer = false // a pointer only because other types have no such field
		all = append(all, required)
	}
	return append(all, fieldOf(of("At"), "timestamp", ""))
}
