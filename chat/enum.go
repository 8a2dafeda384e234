package chat

import "reflect"

// Enum is a type that has a closed set of values.
type Enum struct {
	// Name is the type's name in the documentation and in TypeScript.
	Name   string
	Type   reflect.Type
	Values []string
}

var enums = []Enum{
	enumOf("Role", RoleNames),
	enumOf("ChannelType", ChannelTypes),
	enumOf("NotificationLevel", NotificationLevels),
	enumOf("MessageType", MessageTypes),
	enumOf("NoticeCode", []NoticeCode{NoticeDraining, NoticeTokenExpiring}),
	enumOf("ErrorCode", codeNames()),
}

func enumOf[T ~string](name string, values []T) Enum {
	e := Enum{Name: name, Type: reflect.TypeFor[T]()}
	for _, v := range values {
		e.Values = append(e.Values, string(v))
	}
	return e
}

// Enums returns the types that have a closed set of values.
func Enums() []Enum { return enums }

// EnumOf returns the Enum of a type; ok is false if the type is not one.
func EnumOf(t reflect.Type) (e Enum, ok bool) {
	for _, e := range enums {
		if e.Type == t {
			return e, true
		}
	}
	return Enum{}, false
}
