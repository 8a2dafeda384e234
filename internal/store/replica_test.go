package store_test

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// replicated is a channel on a database with a replica.
type replicated struct {
	t       *testing.T
	w       *world
	channel chat.ID
	head    chat.Seq
}

func (r *replicated) send() {
	r.t.Helper()
	out, err := r.w.Commit(r.t.Context(), []state.Change{sending(r.channel, "hello")})
	if err != nil || out[0].Err != nil {
		r.t.Fatal(err, out)
	}
	r.head = out[0].Entry.Seq
}

// read reads log and history, which must be complete, from wherever they come.
func (r *replicated) read() {
	r.t.Helper()
	ctx := patiently(r.t)
	log, err := r.w.LogTo(ctx, r.channel, 0, 1000, r.head)
	if err != nil || chat.Seq(len(log)) != r.head {
		r.t.Fatalf("the log has %d entries (%v), want %d", len(log), err, r.head)
	}
	page, err := r.w.History(ctx, model.HistoryQuery{ChannelID: r.channel, Viewer: "ada", Limit: 1000})
	if err != nil || chat.Seq(len(page)) != r.head-1 {
		r.t.Fatalf("the history has %d messages (%v), want %d", len(page), err, r.head-1)
	}
	_, err = r.w.History(ctx, model.HistoryQuery{ChannelID: r.channel, Viewer: "eve", Limit: 1})
	if code(err) != code(chat.ErrAccessDenied) {
		r.t.Fatalf("the history for an outsider: %v, want a refusal", err)
	}
}

func (r *replicated) stats() store.ReplicaStats { return r.w.PoolStats().Replicas[0] }

// readUntil reads until ok.
func (r *replicated) readUntil(what string, ok func(store.ReplicaStats) bool) {
	r.t.Helper()
	databasetest.Eventually(r.t, what, func() bool { r.read(); return ok(r.stats()) })
}

func unavailable(s store.ReplicaStats) bool { return s.Unavailable }

func (r *replicated) readUntilServed() {
	r.t.Helper()
	served := r.stats().Served
	r.readUntil("the replica serves reads", func(s store.ReplicaStats) bool { return !s.Unavailable && s.Served > served })
}

// TestReplicaServesWhatItIsUpToDateFor, while it works, lags, is dead, is back, and is frozen.
func TestReplicaServesWhatItIsUpToDateFor(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	standby := pg.Replica(t)
	w := open(t, store.Options{URL: pg.URL(), ReadURLs: []string{standby.URL()}})
	r := &replicated{t: t, w: w, channel: newChannel(t, w.Store), head: 1}
	r.send()
	r.readUntil("the replica serves reads", func(s store.ReplicaStats) bool { return s.Served > 4 })

	if err := standby.Exec("postgres", "SELECT pg_wal_replay_pause()"); err != nil {
		t.Fatal(err)
	}
	r.send()
	served := r.stats().Served
	r.readUntil("the lagging replica is left alone", unavailable)
	if s := r.stats(); s.Served != served || s.Behind < 5 {
		t.Errorf("a lagging replica has %+v, want nothing served", s)
	}
	behind := r.stats().Behind
	r.read()
	if s := r.stats(); s.Behind != behind && s.Unavailable {
		t.Errorf("a replica that is left alone was used: %+v", s)
	}
	if err := standby.Exec("postgres", "SELECT pg_wal_replay_resume()"); err != nil {
		t.Fatal(err)
	}
	r.readUntilServed()

	standby.Kill()
	for range 20 {
		r.send()
		r.read()
	}
	r.readUntil("the dead replica is left alone", unavailable)
	standby.Start()
	r.readUntilServed()
	if n := w.seen.Counts().Refused["unreachable"]; n != 0 {
		t.Errorf("%d units of work are counted as refused, although the primary served them", n)
	}

	standby.Pause()
	for range 20 {
		r.read() // without waiting for the replica
	}
	r.readUntil("the frozen replica is left alone", unavailable)
	standby.Continue()
	r.readUntilServed()
	if w.PoolStats().Unreachable {
		t.Error("the primary counts as unreachable")
	}
	t.Logf("%+v", r.stats())
}

func TestServerStartsWithoutItsReplica(t *testing.T) {
	t.Parallel()
	w := open(t, store.Options{
		URL: pgtest.DatabaseUnlessShort(t), ReadURLs: []string{"postgres://chowk@127.0.0.1:1/postgres"},
	})
	r := &replicated{t: t, w: w, channel: newChannel(t, w.Store), head: 1}
	for range 10 {
		r.read()
	}
	r.readUntil("the replica is left alone", unavailable)
}
