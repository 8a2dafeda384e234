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
	"log/slog"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
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

func (o Options) withDefaults() Options {
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.HoldSoft, time.Second)
	set(&o.HoldHard, 5*time.Second)
	set(&o.SlowQuery, 100*time.Millisecond)
	if o.CacheUsers == 0 {
		o.CacheUsers = cacheUsers
	}
	if o.Observer == nil {
		o.Observer = noObserver{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Observer is told of units of work and statements, when their connection has been
// given back. Its methods must be quick.
type Observer interface {
	// Acquired is told of a unit of work that is done.
	Acquired(unit string, waited, held time.Duration)
	// Executed is told of a round trip: of one statement, or under its unit's name of
	// several that were sent together, of which only the sum is known. Begin and
	// commit do not count for the name.
	Executed(name string, statements []string, took time.Duration, err error)
	// Refused is told of a unit of work that got no connection: queue_full, timeout,
	// gave_up (its caller's time was over), unreachable, circuit_open.
	Refused(unit, why string)
	// HeldLong is told of a unit of work at its soft limit, Cancelled at its hard one.
	HeldLong(unit string)
	Cancelled(unit string)
}

type noObserver struct{}

func (noObserver) Acquired(string, time.Duration, time.Duration)   {}
func (noObserver) Executed(string, []string, time.Duration, error) {}
func (noObserver) Refused(string, string)                          {}
func (noObserver) HeldLong(string)                                 {}
func (noObserver) Cancelled(string)                                {}

// Store is an open database. Its methods may be called from any goroutine.
type Store struct {
	db            backend
	slow          *slowLog
	caches        *caches
	epoch         string
	durability    string
	channelStates *batcher[chat.UserID, []chat.ChannelState]
	heads         *batcher[chat.ID, chat.Seq]
	sessions      *batcher[model.TokenHash, sessionUser]
	ensured       *batcher[*chat.User, ensured]
	memory        memory

	userChanged func(chat.UserID) // may be nil
}

// Open connects, brings the schema up to date and finds out what an ack will mean.
// Several nodes may open one PostgreSQL database at a time.
func Open(ctx context.Context, o Options) (*Store, error) {
	o = o.withDefaults()
	in := instruments{
		observer: o.Observer, trace: o.Trace, watch: watch{o.HoldSoft, o.HoldHard, o.Log},
		slow: &slowLog{threshold: o.SlowQuery, log: o.Log, byName: make(map[string]*slowEntry)},
	}
	db, err := openBackend(ctx, o, in)
	if err != nil {
		return nil, err
	}
	if !o.NoPlans {
		in.slow.explain = db.explain
	}
	s := &Store{db: db, slow: in.slow, caches: newCaches(o.CacheUsers), userChanged: o.UserChanged}
	if err := s.start(ctx); err != nil {
		s.caches.close()
		return nil, errors.Join(err, db.close())
	}
	s.channelStates = newBatcher(s.loadStandings)
	s.heads = newBatcher(s.loadHeads)
	s.sessions = newBatcher(s.loadSessions)
	s.ensured = newBatcher(s.ensureUsers)
	return s, nil
}

func openBackend(ctx context.Context, o Options, in instruments) (backend, error) {
	switch scheme, rest, _ := strings.Cut(o.URL, ":"); scheme {
	case "postgres", "postgresql":
		return openPostgres(ctx, o, in)
	case "sqlite":
		return openSQLite(ctx, rest, o, in)
	default:
		return nil, fmt.Errorf("database URL: %q is neither postgres://… nor sqlite:path", scheme)
	}
}

func (s *Store) start(ctx context.Context) error {
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

// readOrReserved reads on the connection kept apart when the pool is exhausted: it
// is for finding out who asks, without which no administrator could see why.
func (s *Store) readOrReserved(ctx context.Context, unit string, f func(conn) error) error {
	err := s.db.read(ctx, unit, f)
	if errors.Is(err, errNotBegun) && errors.Is(err, errOverloaded) && ctx.Err() == nil {
		return s.db.reserved(ctx, unit, f)
	}
	return err
}

// Close waits for the units of work under way and disconnects.
func (s *Store) Close() error {
	for _, g := range []interface{ close() }{s.channelStates, s.heads, s.sessions, s.ensured} {
		g.close()
	}
	s.slow.close()
	s.caches.close()
	return s.db.close()
}
