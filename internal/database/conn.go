package database

// Conn is a connection lent to a unit of work. It is invalid once the unit returns.
//
// Queued statements are sent together by Flush, in one round trip where the database
// has any. SQLite executes each as it is queued and reports the first error from
// Flush.
type Conn interface {
	// Queue adds a statement, which begins with its name (see NameMark). each is
	// called for every row of the result, and is nil for a statement without rows.
	// Parameters are written $1, $2 and so on; "= ANY($1)" compares with an array.
	Queue(sql string, args []any, each func(Row) error)
	Flush() error
}

// Row is one row of a result.
type Row interface {
	// Scan copies the columns, in their order, into what the pointers point to. It is
	// called once for each row.
	Scan(into ...any) error
}

// Int64Target is a target of Row.Scan for an integer that is not held as it is stored.
type Int64Target interface{ SetInt64(v int64) }

// TextTarget is a target of Row.Scan for a string that is not held as it is stored.
type TextTarget interface{ SetText(s string) error }

// Statement is a statement with its arguments, to be queued.
type Statement struct {
	SQL  string
	Args []any
}

// Query queues a statement and flushes.
func Query(c Conn, sql string, each func(Row) error, args ...any) error {
	c.Queue(sql, args, each)
	return c.Flush()
}

// Exec is Query for a statement without rows.
func Exec(c Conn, sql string, args ...any) error { return Query(c, sql, nil, args...) }

// Repeater is a Conn without round trips, SQLite's: it executes one prepared
// statement many times. Values are bound with their types. Boxed in a slice of any
// they would cost as much again as an insert.
type Repeater interface {
	Conn
	// Repeat executes a statement n times. bind sets the parameters of execution i,
	// which are written ?1, ?2 and so on. each is called for the first row of every
	// execution that has one, and is nil for a statement without rows.
	Repeat(sql string, n int, bind func(b Binder, i int), each func(c Columns, i int) error)
}

// holdConnection runs a unit of work. A goroutine with this function in its stack holds a
// connection: that is how metric.HoldsConnection detects it.
//
//go:noinline
func holdConnection[C any](f func(C) error, c C) error { return f(c) }
