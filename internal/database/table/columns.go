package table

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/chowk-chat/chowk/internal/database"
)

// Columns are some columns of a table. A T holds a row.
type Columns[T any] []Column[T]

// Within returns the columns for rows that hold a T inside of an O.
func Within[O, T any](columns Columns[T], inner func(*O) *T) Columns[O] {
	out := make(Columns[O], len(columns))
	for k, c := range columns {
		out[k] = Column[O]{
			Name: c.Name, Type: c.Type, common: c.common, larger: c.larger,
			value: func(row *O) any { return c.value(inner(row)) },
			array: func(n int, row func(int) *O) any { return c.array(n, func(i int) *T { return inner(row(i)) }) },
			into:  func(row *O) any { return c.into(inner(row)) },
			bind:  func(b database.Binder, i int, row *O) { c.bind(b, i, inner(row)) },
		}
	}
	return out
}

// Pick returns the named columns, in the order of the names.
func (c Columns[T]) Pick(names ...string) Columns[T] {
	picked := make(Columns[T], len(names))
	for i, name := range names {
		picked[i] = c[c.index(name)]
	}
	return picked
}

// Without returns all columns but those named.
func (c Columns[T]) Without(names ...string) Columns[T] {
	for _, name := range names {
		_ = c.index(name) // it must exist
	}
	return slices.DeleteFunc(slices.Clone(c), func(o Column[T]) bool { return slices.Contains(names, o.Name) })
}

// And returns these columns and others.
func (c Columns[T]) And(others ...Column[T]) Columns[T] { return slices.Concat(c, others) }

// index returns the place of a column. It panics when there is none: columns are named
// when the program starts.
func (c Columns[T]) index(name string) int {
	i := slices.IndexFunc(c, func(o Column[T]) bool { return o.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("table: there is no column %q", name))
	}
	return i
}

func (c Columns[T]) join(separator string, each func(i int, c *Column[T]) string) string {
	texts := make([]string, len(c))
	for i := range c {
		texts[i] = each(i, &c[i])
	}
	return strings.Join(texts, separator)
}

// List returns the names with a prefix such as "m.": m.id, m.seq.
func (c Columns[T]) List(prefix string) string {
	return c.join(", ", func(_ int, c *Column[T]) string { return prefix + c.Name })
}

// ListCommon is List for columns of arrays: where an array was left out the list has
// the common value.
func (c Columns[T]) ListCommon(prefix string) string {
	return c.join(", ", func(_ int, c *Column[T]) string { return c.orCommon(prefix) })
}

// orCommon is a column of an array that may have been left out.
func (c *Column[T]) orCommon(prefix string) string {
	if c.common == "" {
		return prefix + c.Name
	}
	return "COALESCE(" + prefix + c.Name + ", " + c.common + ")"
}

// Parameters returns the parameters from number first on: $1, $2.
func (c Columns[T]) Parameters(first int) string {
	return c.join(", ", func(i int, _ *Column[T]) string { return "$" + strconv.Itoa(first+i) })
}

// Arrays returns the array parameters from number first on: $1::uuid[], $2::bigint[].
func (c Columns[T]) Arrays(first int) string {
	return c.join(", ", func(i int, c *Column[T]) string { return "$" + strconv.Itoa(first+i) + "::" + c.Type + "[]" })
}

// Parameter returns the parameter of a column when the first one has number first.
func (c Columns[T]) Parameter(name string, first int) string {
	return "$" + strconv.Itoa(first+c.index(name))
}

// Values returns a row's values.
func (c Columns[T]) Values(row *T) []any {
	values := make([]any, len(c))
	for i := range c {
		values[i] = c[i].value(row)
	}
	return values
}

// ArrayValues returns the values of n rows as arrays.
func (c Columns[T]) ArrayValues(n int, row func(i int) *T) []any {
	values := make([]any, len(c))
	for i := range c {
		values[i] = c[i].array(n, row)
	}
	return values
}

// Bind binds a row's values to the parameters from number first on.
func (c Columns[T]) Bind(b database.Binder, first int, row *T) {
	for i := range c {
		c[i].bind(b, first+i, row)
	}
}

// Into returns where to scan a row to, followed by more targets.
func (c Columns[T]) Into(row *T, more ...any) []any {
	into := make([]any, len(c), len(c)+len(more))
	for i := range c {
		into[i] = c[i].into(row)
	}
	return append(into, more...)
}

// Scan scans a row, and the columns after it into more targets.
func (c Columns[T]) Scan(r database.Row, row *T, more ...any) error {
	return r.Scan(c.Into(row, more...)...)
}

// All calls each with every row of a result, scanned.
func (c Columns[T]) All(each func(*T)) func(database.Row) error {
	return func(r database.Row) error {
		row := new(T)
		err := c.Scan(r, row)
		each(row)
		return err
	}
}
