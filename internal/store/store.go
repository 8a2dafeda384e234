// Package store stores users, channels, messages and everything else that lasts, in
// PostgreSQL or SQLite. Every exported method is one whole unit of work: it borrows a
// connection, does all it has to, and returns it. No code outside can hold a connection, a
// transaction or rows.
//
// Each table's columns are described once, next to the queries of its noun. SQL is written
// once for both databases wherever they share a dialect. What differs is in files named
// after the database. What a change means is decided by package state.
package store

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store/migrations"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Options configure Open. Zero values mean the defaults.
type Options struct {
	// URL is postgres://… or sqlite:path.
	URL string
	// ReadURLs are streaming replicas of a PostgreSQL database. They serve the reads for
	// which they are up to date. Each has a pool of Pool.Size connections.
	ReadURLs []string
	// Pool configures PostgreSQL's pool. SQLite uses only its two timeouts.
	Pool Pool
	// SharedOpen opens a SQLite file that a running server may have open, for a command
	// whose changes the server's sockets need not know.
	SharedOpen bool
	// HoldSoft is how long a unit of work may hold its connection before it is logged,
	// HoldHard before it is cancelled. Defaults 1 s and 5 s.
	HoldSoft, HoldHard time.Duration
	// SlowQuery is the duration from which a statement is logged. Default 100 ms.
	SlowQuery time.Duration
	// NoPlans disables plans of slow statements.
	NoPlans bool
	// CacheUsers bounds the users that are cached, and ten times as many members of
	// channels. Default 100,000.
	CacheUsers int
	// UserChanged is notified of users whom this node has changed, or may have. It must
	// not block, and may be nil.
	UserChanged func(chat.UserID)
	// Observer, Log and Trace may be nil.
	Observer Observer
	Log      *slog.Logger
	Trace    *trace.Tracer
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	db            *database.DB
	dialect       *dialect
	caches        *caches
	channelStates *batcher[chat.UserID, []chat.ChannelState]
	heads         *batcher[chat.ID, chat.Seq]
	logins        *batcher[model.TokenHash, loginUser]
	ensured       *batcher[*chat.User, ensured]
	memory        memory
	rules         *state.Rules

	userChanged func(chat.UserID) // may be nil
}

// The units of work that get a connection before all others. Hundreds of changes wait for
// each, and there are only as many at a time as the journal has workers. Under load reads
// are refused before writes.
const (
	commitUnit      = "commit"
	commitReadsUnit = "commit_reads"
)

// Open connects and brings the schema up to date. Several nodes may open one PostgreSQL
// database at the same time.
func Open(ctx context.Context, o Options) (*Store, error) {
	db, err := database.Open(ctx, database.Options{
		URL: o.URL, ReadURLs: o.ReadURLs, Schema: migrations.Files, Pool: o.Pool, SharedOpen: o.SharedOpen,
		Priority: []string{commitUnit, commitReadsUnit}, HoldSoft: o.HoldSoft, HoldHard: o.HoldHard,
		SlowQuery: o.SlowQuery, NoPlans: o.NoPlans, Observer: o.Observer, Log: o.Log, Trace: o.Trace,
	})
	if err != nil {
		return nil, err
	}
	if o.CacheUsers == 0 {
		o.CacheUsers = defaultCacheUsers
	}
	s := &Store{
		db: db, dialect: dialects[db.Kind()], caches: newCaches(o.CacheUsers), userChanged: o.UserChanged,
		rules: state.DefaultRules(),
	}
	s.channelStates = newBatcher(s.loadChannelStates)
	s.heads = newBatcher(s.loadHeads)
	s.logins = newBatcher(s.loadLogins)
	s.ensured = newBatcher(s.ensureUsers)
	return s, nil
}

// readOrReserved reads on the connection kept apart when the pool is exhausted.
func (s *Store) readOrReserved(ctx context.Context, unit string, f func(conn) error) error {
	err := s.db.Read(ctx, unit, f)
	if errors.Is(err, database.ErrNotBegun) && errors.Is(err, database.ErrOverloaded) && ctx.Err() == nil {
		return s.db.Reserved(ctx, unit, f)
	}
	return err
}

// Close waits for the units of work in progress and disconnects.
func (s *Store) Close() error {
	for _, b := range []interface{ close() }{s.channelStates, s.heads, s.logins, s.ensured} {
		b.close()
	}
	s.caches.close()
	return s.db.Close()
}

func notFound(what string) error { return chat.Errorf(chat.NotFound, what+" not found") }
