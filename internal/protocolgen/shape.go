package main

import (
	"reflect"
	"strings"
)

// field is a field of an object, as JSON has it.
type field struct {
	name string
	typ  reflect.Type // without the pointer
	tag  reflect.StructTag
	// optional fields may be absent. Those that are nonzero are absent if they are zero.
	optional, nonzero bool
	pointer           bool
	source            reflect.StructField
}

// nullable reports whether the field may be null.
func (f field) nullable() bool { return f.pointer && !f.optional }

// fieldsOf returns the fields of a struct in their order, those of embedded structs in
// place of them.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for sf := range t.Fields() {
		name, options, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case sf.Anonymous && name == "":
			all = append(all, fieldsOf(sf.Type)...)
		case name != "-" && sf.IsExported():
			all = append(all, fieldOf(sf, name, options))
		}
	}
	return all
}

func fieldOf(sf reflect.StructField, name, options string) field {
	f := field{name: name, typ: sf.Type, tag: sf.Tag, optional: options != "", source: sf}
	switch sf.Type.Kind() {
	case reflect.Pointer:
		f.typ, f.pointer = f.typ.Elem(), true
	case reflect.String, reflect.Slice, reflect.Map:
		f.nonzero = options != ""
	default:
		f.nonzero = options == "omitzero" // for omitempty, the encoder omits no number and no bool
	}
	return f
}

// values returns the strings that the field may have, nil if it may have any.
func (f field) values() []string {
	if tag := f.tag.Get("enum"); tag != "" {
		return strings.Split(tag, ",")
	}
	return nil
}

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any
}

// set adds a member.
func (o *object) set(key string, value any) { *o = append(*o, member{key, value}) }

// replace sets a member that the object has.
func (o object) replace(key string, value any) {
	for i := range o {
		if o[i].key == key {
			o[i].value = value
		}
	}
}

// snake returns a Go name as JSON has names: UserRef becomes user_ref.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
