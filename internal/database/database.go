// Package database runs units of work on PostgreSQL or SQLite.
//
// A unit of work is a function that borrows a connection, runs statements on it and
// returns. The package queues units for connections, limits how long they may wait
// and hold, refuses them while the database does not answer, reads from replicas,
// records slow statements with their plans, and traces. It also migrates the schema,
// backs up the embedded database and examines either database for chowk doctor.
//
// No other package imports a database driver. What the statements mean is the
// business of the packages that send them.
package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/trace"
)

// Options configure Open. Zero values mean the defaults.
type Options struct {
	// URL is postgres://… or sqlite:path.
	URL string
	// ReadURLs are streaming replicas of a PostgreSQL database, which ReadAt uses.
	// Each has a pool of Pool.Size connections.
	ReadURLs []string
	// Schema holds the migrations, in the directories postgres and sqlite.
	Schema fs.FS
	// Pool configures PostgreSQL's pool. SQLite uses only its two timeouts.
	Pool Pool
	// SharedOpen opens a SQLite file that a running server may have open.
	SharedOpen bool
	// HoldSoft is how long a unit may hold its connection before it is logged,
	// HoldHard before it is cancelled. Defaults 1 s and 5 s.
	HoldSoft, HoldHard time.Duration
	// SlowQuery is the duration from which a statement is logged. Default 100 ms.
	SlowQuery time.Duration
	// NoPlans disables plans of slow statements.
	NoPlans bool
	// Priority names the units of work that get a connection before all others, and for
	// which the queue has no bound. There should be few of them at a time.
	Priority []string
	// Observer, Log and Trace may be nil.
	Observer Observer
	Log      *slog.Logger
	Trace    *trace.Tracer
}

// WithDefaults returns o with its defaults filled in.
func (o Options) WithDefaults() Options {
	setDefault(&o.HoldSoft, time.Second)
	setDefault(&o.HoldHard, 5*time.Second)
	setDefault(&o.SlowQuery, 100*time.Millisecond)
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	backend    backend
	slow       *slowLog
	epoch      string
	durability string
}

// backend is what PostgreSQL and SQLite do differently. Its methods are documented
// at those of DB.
type backend interface {
	kind() string
	durability(ctx context.Context) (string, error)
	// history identifies the database's history, in addition to the epoch stored in it.
	history(ctx context.Context) (string, error)
	ping(ctx context.Context) error
	stats() PoolStats
	close() error
	read(ctx context.Context, unit string, f func(Conn) error) error
	write(ctx context.Context, unit string, f func(Conn) error) error
	readAt(ctx context.Context, unit string, reached Statement, f func(Conn) error) error
	replicaCount() int
	reserved(ctx context.Context, unit string, f func(Conn) error) error
	explain(ctx context.Context, sql string) (string, error)
}

// Open connects, brings the schema up to date, and finds out how durable a commit is.
// Several nodes may open one PostgreSQL database at the same time.
func Open(ctx context.Context, o Options) (*DB, error) {
	o = o.WithDefaults()
	c := newCommon(o)
	b, err := openBackend(ctx, o, c)
	if err != nil {
		return nil, err
	}
	if !o.NoPlans {
		c.slow.explain = b.explain
	}
	db := &DB{backend: b, slow: c.slow}
	if err := db.identify(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return db, nil
}

func openBackend(ctx context.Context, o Options, c common) (backend, error) {
	switch scheme, rest, _ := strings.Cut(o.URL, ":"); scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, o, c)
	case "sqlite":
		return openSQLite(ctx, rest, o, c)
	default:
		return nil, fmt.Errorf("database URL: %q is neither postgres://… nor sqlite:path", scheme)
	}
}

// identify reads durability and epoch.
func (db *DB) identify(ctx context.Context) error {
	var err error
	if db.durability, err = db.backend.durability(ctx); err != nil {
		return fmt.Errorf("find out how durable a commit is: %w", err)
	}
	history, err := db.backend.history(ctx)
	if err != nil {
		return fmt.Errorf("read the database's identity: %w", err)
	}
	stored, err := db.storedEpoch(ctx)
	if err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	db.epoch = fmt.Sprintf("%x%s", stored[8:], history)
	return nil
}

// Kind is "postgres" or "sqlite".
func (db *DB) Kind() string { return db.backend.kind() }

// Epoch names the history that seqs belong to. It changes after a restore or a
// fail-over.
func (db *DB) Epoch() string { return db.epoch }

// Durability is what a commit survives: "disk" (flushed), "replica" (flushed here and
// on a synchronous standby), or "os" (survives the process, but not the machine).
func (db *DB) Durability() string { return db.durability }

// Read runs f on a connection. On SQLite all statements of f see one snapshot.
func (db *DB) Read(ctx context.Context, unit string, f func(Conn) error) error {
	return db.backend.read(ctx, unit, f)
}

// Write runs f in a transaction, which is committed when f returns nil. f runs again
// when the transaction was rolled back through no fault of its own, so it must start
// from nothing each time.
func (db *DB) Write(ctx context.Context, unit string, f func(Conn) error) error {
	return db.backend.write(ctx, unit, f)
}

// ReadAt is Read on a replica for which the statement reached returns a row, or else
// on the primary. An empty statement means the primary.
func (db *DB) ReadAt(ctx context.Context, unit string, reached Statement, f func(Conn) error) error {
	return db.backend.readAt(ctx, unit, reached, f)
}

// Reserved is Read on the connection kept apart, for what must be answered while all
// others are in use.
func (db *DB) Reserved(ctx context.Context, unit string, f func(Conn) error) error {
	return db.backend.reserved(ctx, unit, f)
}

// Replicas returns the number of read replicas.
func (db *DB) Replicas() int { return db.backend.replicaCount() }

// Ping reports whether the database answers. It uses the connection kept apart, so it
// works while the pool is exhausted.
func (db *DB) Ping(ctx context.Context) error { return db.backend.ping(ctx) }

// Explain returns the plan of a statement without values. It uses the connection kept
// apart.
func (db *DB) Explain(ctx context.Context, sql string) (string, error) {
	return db.backend.explain(ctx, sql)
}

// Stats returns how the connections are used. It does not query the database.
func (db *DB) Stats() PoolStats {
	stats := db.backend.stats()
	stats.Holders = holders(stats.Held)
	return stats
}

// SlowQueries returns the worst twenty statements by their longest duration. It does
// not query the database.
func (db *DB) SlowQueries() []SlowQuery { return db.slow.worst() }

// Close waits for the units of work in progress and disconnects.
func (db *DB) Close() error {
	db.slow.close()
	return db.backend.close()
}
