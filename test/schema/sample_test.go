package schema

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/chowk-chat/chowk/chat"
)

var (
	id1 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")
	id2 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ac")
	at  = chat.Time(1772366400123456)
)

// samples returns two values of a type: one with every field set, and one with only
// the fields that are always present.
func samples(t reflect.Type) []any {
	return []any{sample(t, "", true).Interface(), sample(t, "", false).Interface()}
}

// sample returns a value of a type. The tag of the field that holds it says which
// values are allowed.
func sample(t reflect.Type, tag reflect.StructTag, all bool) reflect.Value {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[chat.ID]():
		v.Set(reflect.ValueOf(id1))
		return v
	case reflect.TypeFor[chat.Time]():
		v.Set(reflect.ValueOf(at))
		return v
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text(t, tag))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		n, _ := strconv.ParseInt(tag.Get("minimum"), 10, 64)
		v.SetInt(max(n, 1))
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(sample(t.Elem(), tag, all))
	case reflect.Slice:
		v.Set(reflect.Append(v, sample(t.Elem(), "", all)))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(sample(t.Key(), "", all), sample(t.Elem(), "", all))
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if all || options == "" && f.Type.Kind() != reflect.Pointer {
				v.Field(i).Set(sample(f.Type, f.Tag, all))
			}
		}
	}
	return v
}

func text(t reflect.Type, tag reflect.StructTag) string {
	if values := tag.Get("enum"); values != "" {
		value, _, _ := strings.Cut(values, ",")
		return value
	}
	if e, ok := chat.EnumOf(t); ok {
		return e.Values[0]
	}
	if tag.Get("format") == "command" {
		return "resume"
	}
	return "x"
}
