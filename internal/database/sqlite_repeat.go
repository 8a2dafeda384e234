package database

import (
	"errors"
	"time"

	"zombiezen.com/go/sqlite"
)

// Binder sets the parameters of a statement that is repeated, numbered from 1.
type Binder struct{ stmt *sqlite.Stmt }

// Int64 binds an integer.
func (b Binder) Int64(place int, v int64) { b.stmt.BindInt64(place, v) }

// Bool binds a truth value.
func (b Binder) Bool(place int, v bool) { b.stmt.BindBool(place, v) }

// Text binds a string.
func (b Binder) Text(place int, v string) { b.stmt.BindText(place, v) }

// Bytes binds a blob.
func (b Binder) Bytes(place int, v []byte) { b.stmt.BindBytes(place, v) }

// Null binds NULL.
func (b Binder) Null(place int) { b.stmt.BindNull(place) }

// NullableText binds a string, or NULL.
func (b Binder) NullableText(place int, v *string) {
	if v == nil {
		b.stmt.BindNull(place)
		return
	}
	b.stmt.BindText(place, *v)
}

// NullableInt64 binds an integer, or NULL.
func (b Binder) NullableInt64(place int, v *int64) {
	if v == nil {
		b.stmt.BindNull(place)
		return
	}
	b.stmt.BindInt64(place, *v)
}

// Columns are those of a row of a statement that is repeated, numbered from 0.
type Columns struct{ stmt *sqlite.Stmt }

// Int64 returns an integer.
func (c Columns) Int64(place int) int64 { return c.stmt.ColumnInt64(place) }

// Bool returns a truth value.
func (c Columns) Bool(place int) bool { return c.stmt.ColumnInt64(place) != 0 }

// Text returns a string.
func (c Columns) Text(place int) string { return c.stmt.ColumnText(place) }

// Repeat is documented at Repeater.
func (c *sqliteConn) Repeat(sql string, n int, bind func(b Binder, i int), each func(c Columns, i int) error) {
	if c.failed != nil || n == 0 {
		return
	}
	start := time.Now()
	var rows int64
	stmt, err := c.raw.Prepare(sql)
	for i := 0; i < n && err == nil; i++ {
		bind(Binder{stmt}, i)
		var more bool
		if more, err = stmt.Step(); err == nil && more {
			rows++
			err = each(Columns{stmt}, i)
		}
		err = errors.Join(err, stmt.Reset())
	}
	c.record(sql, start, rows, err)
}
