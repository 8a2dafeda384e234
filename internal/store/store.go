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
	"log/slog"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store/migrations"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Options say which database and how.
type Options struct {
	// URL is postgres://… or sqlite:path.
	URL string
	// ReadURLs are streaming replicas of a PostgreSQL database, which are asked for
	// what they have got already. Each has a pool of Pool.Size connections.
	ReadURLs []string
	// Pool is for PostgreSQL, but for its waits.
	Pool Pool
	// SharedOpen opens a SQLite file that a server may have open, for a command that
	// touches nothing of which the server's sockets must be told.
	SharedOpen bool
	// HoldSoft is when a unit of work that still has its connection is logged,
	// HoldHard when it is cancelled. Defaults 1 s and 5 s.
	HoldSoft, HoldHard time.Duration
	// SlowQuery is from when on a statement is logged. Default 100 ms.
	SlowQuery time.Duration
	// NoPlans: do not ask for the plans of slow statements.
	NoPlans bool
	// CacheUsers bounds the users that are cached, and ten times as many members of
	// channels. Default 100,000.
	CacheUsers int
	// UserChanged is told of users whom this node has changed, or may have. It must not
	// wait, and may be nil.
	UserChanged func(chat.UserID)
	// Observer and Log may be nil.
	Observer Observer
	Log      *slog.Logger
	// Trace may be nil: then nothing is traced.
	Trace *trace.Tracer
}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	db            *database.DB
	dialect       *dialect
	caches        *caches
	channelStates *batcher[chat.UserID, []chat.ChannelState]
	heads         *batcher[chat.ID, chat.Seq]
	sessions      *batcher[model.TokenHash, sessionUser]
	ensured       *batcher[*chat.User, ensured]
	memory        memory
	rules         *state.Rules

	userChanged func(chat.UserID) // may be nil
}

// Open connects and brings the schema up to date. Several nodes may open one
// PostgreSQL database at the same time.
func Open(ctx context.Context, o Options) (*Store, error) {
	db, err := database.Open(ctx, database.Options{
		URL: o.URL, ReadURLs: o.ReadURLs, Schema: migrations.Files, Pool: o.Pool, SharedOpen: o.SharedOpen,
		Priority: []string{"commit", "commit_reads"}, HoldSoft: o.HoldSoft, HoldHard: o.HoldHard,
		SlowQuery: o.SlowQuery, NoPlans: o.NoPlans, Observer: o.Observer, Log: o.Log, Trace: o.Trace,
	})
	if err != nil {
		return nil, err
	}
	if o.CacheUsers == 0 {
		o.CacheUsers = cacheUsers
	}
	s := &Store{
		db: db, dialect: dialects[db.Kind()], caches: newCaches(o.CacheUsers), userChanged: o.UserChanged,
		rules: state.DefaultRules(),
	}
	s.channelStates = newBatcher(s.loadStandings)
	s.heads = newBatcher(s.loadHeads)
	s.sessions = newBatcher(s.loadSessions)
	s.ensured = newBatcher(s.ensureUsers)
	return s, nil
}

// readOrReserved reads on the connection kept apart when the pool is exhausted: it
// is for finding out who asks, without which no administrator could see why.
func (s *Store) readOrReserved(ctx context.Context, unit string, f func(conn) error) error {
	err := s.db.Read(ctx, unit, f)
	if errors.Is(err, database.ErrNotBegun) && errors.Is(err, database.ErrOverloaded) && ctx.Err() == nil {
		return s.db.Reserved(ctx, unit, f)
	}
	return err
}

// Close waits for the units of work under way and disconnects.
func (s *Store) Close() error {
	for _, g := range []interface{ close() }{s.channelStates, s.heads, s.sessions, s.ensured} {
		g.close()
	}
	s.caches.close()
	return s.db.Close()
}

func notFound(what string) error { return chat.Errorf(chat.NotFound, what+" not found") }
