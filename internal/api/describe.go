package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
)

// Describe returns the description of all REST calls, for programs that write something
// that follows from it.
func Describe() *huma.OpenAPI {
	h := newHandler(&Server{
		Rules: &command.Service{}, Auth: &auth.Authenticator{}, Accounts: &auth.Accounts{}, Door: &auth.OriginPolicy{},
		Database: noDatabase{},
	})
	return h.api.OpenAPI()
}

// noDatabase has the calls about the database described.
type noDatabase struct{}

func (noDatabase) Pool() PoolReport         { return PoolReport{} }
func (noDatabase) SlowQueries() []SlowQuery { return nil }

// completeSchemas adds to huma's schemas what it does not read from our types: which
// pointers are sent as null, the values of enums, and the limits of requests.
func completeSchemas(schemas huma.Registry) {
	for name, s := range schemas.Map() {
		t := schemas.TypeFromRef("#/components/schemas/" + name)
		if t == nil || t.Kind() != reflect.Struct {
			continue
		}
		for _, f := range reflect.VisibleFields(t) {
			property, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			p := s.Properties[property]
			if p == nil {
				continue
			}
			addValues(p, f.Type)
			addLimit(p, f)
			if f.Type.Kind() == reflect.Pointer && options == "" {
				s.Properties[property] = orNull(p)
			}
		}
	}
}

// orNull returns the schema of p's values and null. huma marks only pointers to Go's
// basic types.
func orNull(p *huma.Schema) *huma.Schema {
	if p.Ref == "" {
		p.Nullable = true
		return p
	}
	return &huma.Schema{Description: p.Description, AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}}
}

func addValues(p *huma.Schema, t reflect.Type) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	e, ok := chat.EnumOf(t)
	if !ok || p.Enum != nil {
		return
	}
	for _, v := range e.Values {
		p.Enum = append(p.Enum, v)
	}
}

func addLimit(p *huma.Schema, f reflect.StructField) {
	l, ok := chat.LimitOf(f)
	if !ok {
		return
	}
	switch p.Type {
	case huma.TypeString:
		p.MaxLength = &l.Max
	case huma.TypeArray:
		p.MaxItems = &l.Max
	case huma.TypeObject:
		p.MaxProperties = &l.Max
	}
}
