// Package store is the database: PostgreSQL or SQLite behind one unexported
// backend. Nothing outside can hold a connection, a transaction or rows: every
// exported method is one whole unit of work, which borrows a connection, does all
// it has to and gives it back.
//
// SQL stands beside the method that runs it, once for both databases wherever they
// share a dialect. What must differ stands in files named after the database.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Options say which database and how.
type Options struct {
	// URL is postgres://… or sqlite:path.
	URL string
	// Pool is for PostgreSQL.
	Pool Pool
	// Beside opens a SQLite file that a server may have open, for a command that
	// touches nothing of which the server's sockets must be told.
	Beside bool
	// Observer may be nil.
	Observer Observer
}

// Pool bounds the connections to PostgreSQL. Zero values mean the defaults.
type Pool struct {
	// Size is how many are kept, Overflow how many more are opened under load and
	// closed when they have been idle for MaxIdleTime. Defaults 10, 20 (with a
	// negative Overflow: none) and 60 s.
	Size, Overflow int
	MaxIdleTime    time.Duration
	// Timeout bounds the wait for a connection of work that no client waits for.
	// Default 30 s.
	Timeout time.Duration
	// MaxLifetime is when a connection is replaced. Default 1 h.
	MaxLifetime time.Duration
}

// Observer is told of units of work and statements. Its methods must be quick.
type Observer interface {
	Acquired(unit string, waited, held time.Duration)
	Executed(statement string, took time.Duration, err error)
	Refused(unit, why string)
}

type noObserver struct{}

func (noObserver) Acquired(string, time.Duration, time.Duration) {}
func (noObserver) Executed(string, time.Duration, error)         {}
func (noObserver) Refused(string, string)                        {}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	db         backend
	epoch      string
	durability string
	standings  *gatherer[chat.UserID, []chat.Standing]
	heads      *gatherer[chat.ID, chat.Seq]
	sessions   *gatherer[chat.TokenHash, sessionUser]
	recent     recentIDs
	authors    authors
}

// Open connects, brings the schema up to date and finds out what an ack will mean.
// Several nodes may open one PostgreSQL database at a time.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	db, err := openBackend(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, db.close())
	}
	s.standings = newGatherer(s.loadStandings)
	s.heads = newGatherer(s.loadHeads)
	s.sessions = newGatherer(s.loadSessions)
	return s, nil
}

func openBackend(ctx context.Context, o Options) (backend, error) {
	switch scheme, rest, _ := strings.Cut(o.URL, ":"); scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, o)
	case "sqlite":
		return openSQLite(ctx, rest, o)
	default:
		return nil, fmt.Errorf("database URL: %q is neither postgres://… nor sqlite:path", scheme)
	}
}

func (s *Store) start(ctx context.Context) error {
	if err := s.db.migrate(ctx); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	var err error
	if s.durability, err = s.db.durability(ctx); err != nil {
		return fmt.Errorf("find out how durable a commit is: %w", err)
	}
	history, err := s.db.history(ctx)
	if err != nil {
		return fmt.Errorf("find out the database's identity: %w", err)
	}
	id := chat.NewID()
	own, err := s.Secret(ctx, "epoch", id[:])
	if err != nil {
		return fmt.Errorf("read the epoch: %w", err)
	}
	s.epoch = fmt.Sprintf("%x%s", own[8:], history)
	return nil
}

// Kind is "postgres" or "sqlite".
func (s *Store) Kind() string { return s.db.kind() }

// Epoch names the history that seqs belong to: it is another one after a restore
// or a fail-over.
func (s *Store) Epoch() string { return s.epoch }

// Durability says what an ack means here: "disk" (flushed), "replica" (flushed
// here and on a synchronous standby), or "os" (survives the process, not the
// machine).
func (s *Store) Durability() string { return s.durability }

// Ping tells whether the database answers. It has a connection of its own, so it
// works when the pool is exhausted.
func (s *Store) Ping(ctx context.Context) error { return s.db.ping(ctx) }

// Close waits for the units of work under way and disconnects.
func (s *Store) Close() error {
	for _, g := range []interface{ close() }{s.standings, s.heads, s.sessions} {
		g.close()
	}
	return s.db.close()
}

// Errors that units of work end in when there is no database to do them.
var (
	errOverloaded  = &chat.Error{Code: chat.Overloaded, Message: "The database is busy. Try again in a moment.", RetryAfter: 500 * time.Millisecond}
	errUnavailable = &chat.Error{Code: chat.Unavailable, Message: "The database cannot be reached. Try again in a moment.", RetryAfter: time.Second}
)

func notFound(what string) error { return chat.Errorf(chat.NotFound, what+" not found") }
