//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// database is an empty database with chowk's schema, for one measurement.
type database interface {
	url() string
	// fill inserts the world's rows.
	fill(ctx context.Context, w *world) error
	// perEvent is how the old system worked after its repair: a transaction per event,
	// over a pool.
	perEvent(ctx context.Context) (send sendFunc, done func(), err error)
	// verify checks that exactly what was acknowledged is stored, without gaps.
	verify(ctx context.Context, acks int) error
}

// fresh creates a database, migrates it and fills it.
func (b *bench) fresh(ctx context.Context, kind string, w *world) (database, error) {
	b.count++
	var db database
	if kind == "postgres" {
		name := fmt.Sprintf("bench_%d", b.count)
		url, err := b.pg.Create(name)
		if err != nil {
			return nil, err
		}
		if err := b.settle(); err != nil {
			return nil, err
		}
		b.last, db = name, postgres{url}
	} else {
		db = sqliteFile{fmt.Sprintf("%s/bench_%d.db", b.dir, b.count)}
	}
	s, err := store.Open(ctx, store.Options{URL: db.url()}) // migrates
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return db, db.fill(ctx, w)
}

// settle leaves PostgreSQL no other work: the last measurement's rows are gone and all
// pages are written, so that neither autovacuum nor a checkpoint disturbs the next
// measurement.
func (b *bench) settle() error {
	if b.last != "" {
		if err := b.pg.Exec("postgres", "DROP DATABASE "+b.last+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return b.pg.Exec("postgres", "CHECKPOINT")
}

// age fills segments of the write-ahead log, which are then reused. A new server
// creates, zeroes and flushes each segment when it needs it, which stops all clients
// for tens of milliseconds.
func (b *bench) age() error {
	const segments = 128 // of 16 MB
	err := b.pg.Exec("postgres", fmt.Sprintf(`DO $$ BEGIN FOR i IN 1..%d LOOP
		PERFORM pg_logical_emit_message(false, 'age', 'x'); PERFORM pg_switch_wal(); END LOOP; END $$`, segments))
	if err != nil {
		return err
	}
	return b.pg.Exec("postgres", "CHECKPOINT")
}

func (b *bench) postmaster(kind string) int {
	if kind != "postgres" {
		return 0
	}
	return b.pg.Pid()
}

// chowk is the journal over the store, wired as in the server.
type chowk struct {
	store   *store.Store
	journal *journal.Journal
	groups  *groups
}

// groups counts what the journal commits together.
type groups struct {
	*store.Store
	groups, changes atomic.Int64
}

// Commit is the store's.
func (g *groups) Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error) {
	g.groups.Add(1)
	g.changes.Add(int64(len(changes)))
	return g.Store.Commit(ctx, changes)
}

func (g *groups) String() string {
	return fmt.Sprintf("groups of %.0f", float64(g.changes.Load())/float64(max(g.groups.Load(), 1)))
}

// noFanout is a publisher that does nothing: other programs measure the fan-out.
type noFanout struct{}

func (noFanout) Publish([]chat.Entry)    {}
func (noFanout) MarkUncertain([]chat.ID) {}

func openChowk(ctx context.Context, db database, pool store.Pool) (*chowk, error) {
	m := metric.New()
	s, err := store.Open(ctx, store.Options{URL: db.url(), Pool: pool, Observer: m.Store})
	if err != nil {
		return nil, err
	}
	workers := 0
	if s.Kind() == "sqlite" {
		workers = 1
	}
	g := &groups{Store: s}
	return &chowk{
		s, journal.Start(journal.Config{Store: g, Publisher: noFanout{}, Metrics: m.Journal, Workers: workers}),
		g,
	}, nil
}

func (c *chowk) send(ctx context.Context, channel chat.ID, user chat.UserID) error {
	id := chat.NewID()
	at := chat.TimeOf(time.Now())
	out, err := c.journal.Commit(ctx, state.Change{
		Kind: state.SendMessage, ID: id, ChannelID: channel, Actor: model.UserActor(user), At: at,
		Message: &chat.Message{
			ID: id, ChannelID: channel, UserID: user, Content: content, ClientID: id.String(), MessageType: chat.Text,
			CreatedAt: at, UpdatedAt: at, Reactions: []chat.Reaction{},
		},
	})
	if err == nil {
		err = out.Err
	}
	return err
}

func (c *chowk) close(ctx context.Context) error {
	return errors.Join(c.journal.Close(ctx), c.store.Close())
}

// oneJob is a measurement to run.
type oneJob struct {
	step, kind  string
	world       *world
	senders     int
	pool        store.Pool
	rate        float64
	secondsPart float64 // of -seconds; 0 for all of them
}

func (b *bench) load(j oneJob, send sendFunc) load {
	run := b.seconds
	if j.secondsPart > 0 {
		run *= j.secondsPart
	}
	d := time.Duration(run * float64(time.Second))
	return load{
		world: j.world, senders: j.senders, postmaster: b.postmaster(j.kind), warm: d / 4, run: d, send: send,
		rate: j.rate,
	}
}

// viaChowk measures the journal.
func (b *bench) viaChowk(ctx context.Context, way string, j oneJob) (measurement, error) {
	db, err := b.fresh(ctx, j.kind, j.world)
	if err != nil {
		return measurement{}, err
	}
	c, err := openChowk(ctx, db, j.pool)
	if err != nil {
		return measurement{}, err
	}
	out := b.load(j, c.send).do(ctx)
	if err := errors.Join(out.err, c.close(ctx)); err != nil {
		return measurement{}, err
	}
	return b.done(ctx, way, j, db, out, c.groups.String())
}

// viaEvents measures the old way.
func (b *bench) viaEvents(ctx context.Context, j oneJob) (measurement, error) {
	db, err := b.fresh(ctx, j.kind, j.world)
	if err != nil {
		return measurement{}, err
	}
	send, done, err := db.perEvent(ctx)
	if err != nil {
		return measurement{}, err
	}
	out := b.load(j, send).do(ctx)
	done()
	if out.err != nil {
		return measurement{}, out.err
	}
	return b.done(ctx, "transaction per event", j, db, out, "")
}

func (b *bench) done(ctx context.Context, way string, j oneJob, db database, out loaded, note string) (measurement,
	error,
) {
	if err := db.verify(ctx, out.acks); err != nil {
		return measurement{}, fmt.Errorf("%s: verify: %w", way, err)
	}
	m := take(j.step, way, out.counted, out.waits, out.before, out.after)
	m.Senders, m.Channels, m.Stored, m.Note = j.senders, len(j.world.channels), int64(out.acks), note
	if j.rate > 0 {
		slices.Sort(out.late)
		m.Late = ms(out.late[len(out.late)*99/100])
		slices.Sort(out.acked)
		m.Ack = ms(out.acked[len(out.acked)*99/100])
		m.Note += fmt.Sprintf(", acknowledged %.2f / %.2f ms after they were begun", ms(out.acked[len(out.acked)/2]), m.Ack)
		m.Note += fmt.Sprintf(", begun %.2f / %.2f ms late", ms(out.late[len(out.late)/2]), m.Late)
	}
	if out.refused > 0 {
		m.Note += fmt.Sprintf(" %d refused", out.refused)
	}
	return b.add(m), nil
}
