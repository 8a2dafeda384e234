package store

import (
	"context"

	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/store/migrations"
)

// What callers of the store configure and read of the database. They do not import package
// database, so that no one else can borrow a connection.
type (
	// Pool bounds the connections and how long to wait for one.
	Pool = database.Pool
	// PoolStats is how the connections are used at one moment.
	PoolStats = database.PoolStats
	// Hold is one connection in use.
	Hold = database.Hold
	// Holder is a kind of unit of work that has connections.
	Holder = database.Holder
	// ReplicaStats is how a read replica is used.
	ReplicaStats = database.ReplicaStats
	// SlowQuery sums up a statement that was slow.
	SlowQuery = database.SlowQuery
	// Observer is notified of units of work and statements.
	Observer = database.Observer
	// Examination is what Examine finds out.
	Examination = database.Examination
	// Replica is a standby that follows the database.
	Replica = database.Replica
	// Session is a connection that blocks others or is blocked, or is open for long.
	Session = database.Session
)

// Errors of commands that work on a database directly.
var (
	// ErrNoDatabase means that the file of an embedded database does not exist yet.
	ErrNoDatabase = database.ErrNoDatabase
	// ErrNotEmbedded means that the database has its own tools for backups.
	ErrNotEmbedded = database.ErrNotEmbedded
)

// Aliases that keep the queries short.
type (
	conn = database.Conn
	row  = database.Row
)

// Kind is "postgres" or "sqlite".
func (s *Store) Kind() string { return s.db.Kind() }

// Epoch names the history that seqs belong to. It changes after a restore or a
// fail-over.
func (s *Store) Epoch() string { return s.db.Epoch() }

// Durability is what an ack means: "disk" (flushed), "replica" (flushed here and on a
// synchronous standby), or "os" (survives the process, but not the machine).
func (s *Store) Durability() string { return s.db.Durability() }

// Ping reports whether the database answers, even while the pool is exhausted.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// PoolStats returns how the connections are used. It does not query the database.
func (s *Store) PoolStats() PoolStats { return s.db.Stats() }

// SlowQueries returns the worst twenty statements by their longest duration. It does
// not query the database.
func (s *Store) SlowQueries() []SlowQuery { return s.db.SlowQueries() }

// Examine opens the database for a moment with one connection, changes nothing in it,
// and reports its condition and the nodes that share it. It works on a schema of any age,
// while a server runs.
func Examine(ctx context.Context, url string) (x Examination, n Nodes, err error) {
	x, err = database.Examine(ctx, migrations.Files, url, n.read)
	return x, n, err
}

// Backup writes the embedded database, as it is at one moment, to a new file. A server
// may go on writing to it. The file appears when it is complete and on disk.
func Backup(ctx context.Context, url, file string) error {
	return database.Backup(ctx, migrations.Files, url, file)
}

// Restore replaces the embedded database, which no server may have open, with a
// backup and begins a new epoch, so that clients load everything again. It keeps what
// was there, under the name before, which is empty when there was nothing.
func Restore(ctx context.Context, url, file string) (before string, err error) {
	return database.Restore(ctx, migrations.Files, url, file)
}

// NewEpoch begins another history on a PostgreSQL database that was restored, so that
// clients load everything again. No server may be running: servers read the epoch
// when they start.
func NewEpoch(ctx context.Context, url string) error { return database.NewEpoch(ctx, url) }
