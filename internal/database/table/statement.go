package table

import (
	"strings"

	"github.com/chowk-chat/chowk/internal/database"
)

// Statement inserts, updates or deletes rows.
type Statement[T any] struct {
	columns Columns[T] // in the order of the parameters
	one     string     // one row, on PostgreSQL
	many    string     // rows as arrays, on PostgreSQL
	each    string     // one row, on SQLite
}

func newStatement[T any](name string, columns Columns[T], one, many, each string) Statement[T] {
	name = database.NameMark + name + "\n"
	return Statement[T]{
		columns: columns, one: name + one, many: name + many, each: database.RepeatText(name + each),
	}
}

// Insert returns a statement that inserts rows. suffix follows the values, such as
// " ON CONFLICT DO NOTHING".
func Insert[T any](name, table string, columns Columns[T], suffix string) Statement[T] {
	into := "INSERT INTO " + table + " (" + columns.List("") + ")"
	one := into + " VALUES (" + columns.Parameters(1) + ")" + suffix
	many := into + " SELECT " + columns.ListCommon("d.") + columns.fromArrays() + suffix
	return newStatement(name, columns, one, many, one)
}

// Update returns a statement that updates the columns set in the rows with the same key.
func Update[T any](name, table string, key, set Columns[T]) Statement[T] {
	columns := key.And(set...)
	parameter := func(c *Column[T]) string { return columns.Parameter(c.Name, 1) }
	update := func(greatest string) string {
		return "UPDATE " + table + " SET " + set.assign(table, greatest, parameter) + " WHERE " + key.match(table, parameter)
	}
	many := "UPDATE " + table + " SET " +
		set.assign(table, "GREATEST", func(c *Column[T]) string { return c.orCommon("d.") }) + columns.fromArrays() +
		" WHERE " + key.match(table, func(c *Column[T]) string { return "d." + c.Name })
	return newStatement(name, columns, update("GREATEST"), many, update("max"))
}

// Delete returns a statement that deletes the rows with the same key.
func Delete[T any](name, table string, key Columns[T]) Statement[T] {
	from := "DELETE FROM " + table
	one := from + " WHERE " + key.match(table, func(c *Column[T]) string { return key.Parameter(c.Name, 1) })
	many := from + strings.Replace(key.fromArrays(), " FROM ", " USING ", 1) +
		" WHERE " + key.match(table, func(c *Column[T]) string { return "d." + c.Name })
	return newStatement(name, key, one, many, one)
}

// fromArrays is a table d of the arrays.
func (c Columns[T]) fromArrays() string {
	return " FROM unnest(" + c.Arrays(1) + ") AS d(" + c.List("") + ")"
}

// assign is the list of an UPDATE. greatest is the function that returns the larger one
// of two values.
func (c Columns[T]) assign(table, greatest string, value func(*Column[T]) string) string {
	return c.join(", ", func(_ int, c *Column[T]) string {
		if c.larger {
			return c.Name + " = " + greatest + "(" + table + "." + c.Name + ", " + value(c) + ")"
		}
		return c.Name + " = " + value(c)
	})
}

// match is the condition that all columns have the values.
func (c Columns[T]) match(table string, value func(*Column[T]) string) string {
	return c.join(" AND ", func(_ int, c *Column[T]) string { return table + "." + c.Name + " = " + value(c) })
}

// Queue queues the statement for one row.
func (s Statement[T]) Queue(c database.Conn, row *T) {
	if r, ok := c.(database.Repeater); ok {
		s.repeat(r, 1, func(int) *T { return row })
		return
	}
	c.Queue(s.one, s.columns.Values(row), nil)
}

// QueueAll queues the statement for rows: one statement over arrays on PostgreSQL, where
// the rows are handled in no particular order.
func (s Statement[T]) QueueAll(c database.Conn, rows []*T) {
	row := func(i int) *T { return rows[i] }
	if r, ok := c.(database.Repeater); ok {
		s.repeat(r, len(rows), row)
		return
	}
	if len(rows) > 0 {
		c.Queue(s.many, s.columns.ArrayValues(len(rows), row), nil)
	}
}

func (s Statement[T]) repeat(r database.Repeater, n int, row func(i int) *T) {
	r.Repeat(s.each, n, func(b database.Binder, i int) { s.columns.Bind(b, 1, row(i)) }, nil)
}
