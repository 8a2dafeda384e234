package command

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

const userIDRule = "1 to 64 characters of A-Z a-z 0-9 _ . : -"

// fields are the fields of a request. What each may hold follows from its type and its
// tags, which the documentation and the clients state too.
type fields[T any] []requestField

type requestField struct {
	index  []int
	name   string
	limit  chat.Limit // Max is 0 if there is none
	values []string   // that the field may have, nil for any
}

// fieldsOf returns the fields of a request. It panics if a tag names an unknown limit.
func fieldsOf[T any]() fields[T] {
	var all fields[T]
	for _, sf := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if sf.Anonymous || name == "-" {
			continue
		}
		f := requestField{index: sf.Index, name: name}
		f.limit, _ = chat.LimitOf(sf)
		f.values = valuesOf(sf)
		all = append(all, f)
	}
	return all
}

// valuesOf returns the values that a field may have: those of its enum tag, or else of
// its type.
func valuesOf(sf reflect.StructField) []string {
	if tag := sf.Tag.Get("enum"); tag != "" {
		return strings.Split(tag, ",")
	}
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	e, _ := chat.EnumOf(t)
	return e.Values
}

// check returns an error for the first field that holds what it may not. Fields that
// are absent are accepted.
func (all fields[T]) check(in *T) error {
	v := reflect.ValueOf(in).Elem()
	for _, f := range all {
		if err := f.check(v.FieldByIndex(f.index)); err != nil {
			return err
		}
	}
	return nil
}

func (f requestField) check(v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return f.checkString(v)
	case reflect.Int64:
		if v.Int() < 0 {
			return chat.Invalid(f.name, f.name+" must not be negative")
		}
	case reflect.Slice, reflect.Map:
		return f.checkItems(v)
	}
	return nil
}

func (f requestField) checkString(v reflect.Value) error {
	s := v.String()
	switch {
	case s == "":
		return nil // absent
	case f.values != nil:
		return oneOf(f.name, s, f.values)
	case v.Type() == reflect.TypeFor[chat.UserID]():
		return validUser(f.name, chat.UserID(s))
	}
	return checkText(f.name, s, f.limit)
}

func (f requestField) checkItems(v reflect.Value) error {
	if f.limit.Max > 0 && v.Len() > f.limit.Max {
		return tooMany(f.name, f.limit.Max)
	}
	if users, ok := v.Interface().([]chat.UserID); ok {
		return validUsers(f.name, users)
	}
	return nil
}

func oneOf[T ~string](name string, value T, values []T) error {
	if slices.Contains(values, value) {
		return nil
	}
	list := strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ", ")
	return chat.Invalid(name, name+" must be one of "+list)
}

func tooMany(name string, most int) error {
	return chat.Invalid(name, fmt.Sprintf("%s has too many entries: at most %d", name, most))
}

func validUser(name string, u chat.UserID) error {
	if !u.Valid() {
		return chat.Invalid(name, name+" must be a user id: "+userIDRule)
	}
	return nil
}

func validUsers(name string, users []chat.UserID) error {
	for _, u := range users {
		if !u.Valid() {
			return chat.Invalid(name, name+" contains an invalid user id: a user id has "+userIDRule)
		}
	}
	return nil
}

// checkText checks the length of a text and that every database can store it.
func checkText(name, s string, l chat.Limit) error {
	length := len(s)
	if l.Unit == chat.Characters {
		length = utf8.RuneCountInString(s)
	}
	if l.Max > 0 && length > l.Max {
		e := chat.Invalid(name, fmt.Sprintf("%s is too long: at most %d %s", name, l.Max, l.Unit))
		if l.Name == "content" {
			e.Code = chat.TooLarge
		}
		return e
	}
	return state.CheckText(name, s)
}
