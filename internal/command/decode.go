package command

import (
	"errors"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

// decode reads the data of a command. Absent data counts as empty. Unknown names are
// ignored, so that newer clients work with older servers.
func decode(data jsontext.Value, in any) error {
	if len(data) == 0 || data.Kind() == 'n' {
		return nil
	}
	if data.Kind() != '{' {
		return chat.Invalid("data", "data must be an object")
	}
	if err := json.Unmarshal(data, in); err != nil {
		return DecodeError(err, "data")
	}
	return nil
}

// maxFieldName is the longest name of a field that an error repeats, in bytes.
const maxFieldName = 64

// DecodeError returns the error for a user whose request could not be decoded. It does
// not repeat what was sent. whole names the request itself, for an error that is in no
// field.
func DecodeError(err error, whole string) *chat.Error {
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return chat.Errorf(chat.BadJSON, chat.TextBadJSON)
	}
	field := strings.TrimPrefix(strings.ReplaceAll(string(semantic.JSONPointer), "/", "."), ".")
	if field == "" || len(field) > maxFieldName {
		field = whole
	}
	return chat.Invalid(field, field+" must be "+expected(semantic.GoType))
}

// expected describes the values of a type.
func expected(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[chat.ID]():
		return "a UUID such as 0190a5e2-7b1c-7d3e-8f00-0123456789ab"
	case reflect.TypeFor[chat.Time]():
		return "an RFC 3339 time such as 2026-01-02T15:04:05Z"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64, reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
}
