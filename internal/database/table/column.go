// Package table builds statements from descriptions of columns. A column is described
// once: its name, its type, and where a row holds its value. From that come the lists
// of INSERT, UPDATE and SELECT, the arrays that PostgreSQL inserts in one statement, the
// values that SQLite binds, and the pointers for a scan.
//
// Texts are built when the program starts. Values are read through functions, without
// reflection, and arrays have the types of their elements.
package table

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// Column describes a column of a table. A T holds a row.
type Column[T any] struct {
	Name string
	Type string // in PostgreSQL

	value func(*T) any                           // boxed
	array func(n int, row func(i int) *T) any    // of n rows, nil for NULL
	into  func(*T) any                           // where to scan it to
	bind  func(b database.Binder, i int, row *T) // to parameter i
	// common is the SQL of the value that an array left out stands for, "" for NULL.
	common string
	larger bool // an UPDATE stores the larger value
}

// newColumn describes a column by functions that return a row's value, convert it to an
// element of an array, and bind it.
func newColumn[T, V, E any](
	name, typ string, get func(*T) V, into func(*T) any, element func(V) E, bind func(database.Binder, int, *T),
) Column[T] {
	return Column[T]{
		Name: name, Type: typ, into: into, bind: bind,
		value: func(row *T) any { return get(row) },
		array: func(n int, row func(int) *T) any {
			all := make([]E, n)
			for i := range all {
				all[i] = element(get(row(i)))
			}
			return all
		},
	}
}

// newField describes a column that is held in a field of its own type.
func newField[T, V, E any](
	name, typ string, field func(*T) *V, element func(V) E, bind func(database.Binder, int, *T),
) Column[T] {
	get := func(row *T) V { return *field(row) }
	return newColumn(name, typ, get, func(row *T) any { return field(row) }, element, bind)
}

func same[V any](v V) V { return v }

// ID is a UUID.
func ID[T any](name string, field func(*T) *chat.ID) Column[T] {
	return newField(name, "uuid", field,
		func(id chat.ID) [16]byte { return id },
		func(b database.Binder, i int, row *T) { b.Bytes(i, field(row)[:]) })
}

// NullableID is a UUID or NULL.
func NullableID[T any](name string, field func(*T) **chat.ID) Column[T] {
	return newField(name, "uuid", field,
		func(id *chat.ID) *[16]byte { return (*[16]byte)(id) },
		func(b database.Binder, i int, row *T) {
			if id := *field(row); id == nil {
				b.Null(i)
			} else {
				b.Bytes(i, id[:])
			}
		})
}

// Hash is a SHA-256.
func Hash[T any](name string, field func(*T) *model.TokenHash) Column[T] {
	return newField(name, "bytea", field,
		func(h model.TokenHash) []byte { return h[:] },
		func(b database.Binder, i int, row *T) { b.Bytes(i, field(row)[:]) })
}

// User is a user's id.
func User[T any](name string, field func(*T) *chat.UserID) Column[T] {
	return newField(name, "text", field,
		func(u chat.UserID) string { return string(u) },
		func(b database.Binder, i int, row *T) { b.Text(i, string(*field(row))) })
}

// NullableUser is a user's id or NULL.
func NullableUser[T any](name string, field func(*T) **chat.UserID) Column[T] {
	return newField(name, "text", field,
		func(u *chat.UserID) *string { return (*string)(u) },
		func(b database.Binder, i int, row *T) { b.NullableText(i, (*string)(*field(row))) })
}

// Text is a string.
func Text[T any](name string, field func(*T) *string) Column[T] {
	return newField(name, "text", field, same[string],
		func(b database.Binder, i int, row *T) { b.Text(i, *field(row)) })
}

// NullableText is a string or NULL.
func NullableText[T any](name string, field func(*T) **string) Column[T] {
	return newField(name, "text", field, same[*string],
		func(b database.Binder, i int, row *T) { b.NullableText(i, *field(row)) })
}

// Int64 is an integer.
func Int64[T any](name string, field func(*T) *int64) Column[T] {
	return newField(name, "bigint", field, same[int64],
		func(b database.Binder, i int, row *T) { b.Int64(i, *field(row)) })
}

// NullableInt64 is an integer or NULL.
func NullableInt64[T any](name string, field func(*T) **int64) Column[T] {
	return newField(name, "bigint", field, same[*int64],
		func(b database.Binder, i int, row *T) { b.NullableInt64(i, *field(row)) })
}

// Int is an integer that a row holds as an int.
func Int[T any](name string, field func(*T) *int) Column[T] {
	c := ComputedInt64(name, func(row *T) int64 { return int64(*field(row)) })
	c.into = func(row *T) any { return intTarget{field(row)} }
	return c
}

type intTarget struct{ field *int }

// SetInt64 implements database.Int64Target.
func (t intTarget) SetInt64(v int64) { *t.field = int(v) }

// Bool is a truth value.
func Bool[T any](name string, field func(*T) *bool) Column[T] {
	return newField(name, "boolean", field, same[bool],
		func(b database.Binder, i int, row *T) { b.Bool(i, *field(row)) })
}

// Time is a moment in microseconds.
func Time[T any](name string, field func(*T) *chat.Time) Column[T] {
	return newField(name, "bigint", field,
		func(t chat.Time) int64 { return int64(t) },
		func(b database.Binder, i int, row *T) { b.Int64(i, int64(*field(row))) })
}

// OptionalTime is a moment in microseconds, stored as 0 when there is none.
func OptionalTime[T any](name string, field func(*T) **chat.Time) Column[T] {
	c := ComputedInt64(name, func(row *T) int64 {
		if t := *field(row); t != nil {
			return int64(*t)
		}
		return 0
	})
	c.into = func(row *T) any { return optionalTime{field(row)} }
	return c
}

type optionalTime struct{ field **chat.Time }

// SetInt64 implements database.Int64Target.
func (o optionalTime) SetInt64(v int64) {
	*o.field = nil
	if v != 0 {
		t := chat.Time(v)
		*o.field = &t
	}
}

// EncodedText is a string that is not stored as a row holds it: encode returns the
// stored form, and decode sets the row's.
func EncodedText[T any](name string, encode func(*T) string, decode func(row *T, stored string) error) Column[T] {
	into := func(row *T) any { return decodedText(func(s string) error { return decode(row, s) }) }
	return newColumn(name, "text", encode, into, same[string],
		func(b database.Binder, i int, row *T) { b.Text(i, encode(row)) })
}

type decodedText func(string) error

// SetText implements database.TextTarget.
func (d decodedText) SetText(s string) error { return d(s) }

// ComputedInt64 is an integer that is written but not scanned.
func ComputedInt64[T any](name string, get func(*T) int64) Column[T] {
	return newColumn(name, "bigint", get, nil, same[int64],
		func(b database.Binder, i int, row *T) { b.Int64(i, get(row)) })
}

// OptionalText is a string that is stored as NULL when it is empty. It is written but not
// scanned.
func OptionalText[T any](name string, field func(*T) *string) Column[T] {
	get := func(row *T) *string {
		if s := field(row); *s != "" {
			return s
		}
		return nil
	}
	return newColumn(name, "text", get, nil, same[*string],
		func(b database.Binder, i int, row *T) { b.NullableText(i, get(row)) })
}

// Rare leaves an array out when isCommon is true of all rows. common is the SQL of the
// value that they all have then, "" for NULL.
func (c Column[T]) Rare(isCommon func(*T) bool, common string) Column[T] {
	array := c.array
	c.common = common
	c.array = func(n int, row func(int) *T) any {
		for i := range n {
			if !isCommon(row(i)) {
				return array(n, row)
			}
		}
		return nil
	}
	return c
}

// KeepLarger has an UPDATE store the larger one of the stored and the new value.
func (c Column[T]) KeepLarger() Column[T] {
	c.larger = true
	return c
}
