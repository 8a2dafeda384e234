package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// backend is a database: how to borrow a connection, and what the two do
// differently.
type backend interface {
	kind() string
	durability(ctx context.Context) (string, error)
	// history is what names the database's history besides the epoch kept in it.
	history(ctx context.Context) (string, error)
	ping(ctx context.Context) error
	stats() PoolStats
	close() error

	// read and write borrow a connection for the unit of work f. In write f is a
	// transaction, which is committed when f returns nil and may be run again when
	// it had to be rolled back, so f must start from nothing each time.
	read(ctx context.Context, unit string, f func(conn) error) error
	write(ctx context.Context, unit string, f func(conn) error) error
	// readAt is read on any copy of the database on which the channel has come to seq.
	readAt(ctx context.Context, unit string, channel chat.ID, seq chat.Seq, f func(conn) error) error
	// replicaCount is how many replicas there are.
	replicaCount() int
	// reserved is read on the connection that is kept apart, for what must be
	// answered when all others are taken.
	reserved(ctx context.Context, unit string, f func(conn) error) error
	// explain gives the plan of a statement, without values, from the reserved
	// connection.
	explain(ctx context.Context, sql string) (string, error)

	dialect() *dialect
}

// conn is a borrowed connection. What is queued is sent by flush, together, in one
// round trip where the database has any; rows are handed to each as they come.
// Outside of the unit of work it is of no use.
type conn interface {
	// queue takes a statement that begins with its name: see statementName.
	queue(sql string, args []any, each func(row) error)
	flush() error
}

// row is one row of a result, scanned once, in the order of the columns.
type row interface {
	scan(into ...any) error
}

// query is a queue and a flush.
func query(c conn, sql string, each func(row) error, args ...any) error {
	c.queue(sql, args, each)
	return c.flush()
}

// exec is a query without rows.
func exec(c conn, sql string, args ...any) error { return query(c, sql, nil, args...) }

// work is where a unit of work has its connection: whoever finds it among his
// callers holds one. Tests look for it wherever something may be waited for.
//
//go:noinline
func work[C any](f func(C) error, c C) error { return f(c) }

// dialect holds the SQL texts that differ.
type dialect struct {
	lockChannels string // ends a SELECT of channels: lock them
	skipExisting string
	// pairs joins a table m with the (channel_id, user_id) pairs of two arrays.
	pairs string
	// send decides upon new messages and stores them.
	send func(*sends, conn) error
	// arrays says that statements over arrays (unnest) save round trips.
	arrays bool
}
