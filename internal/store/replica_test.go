package store_test

import (
	"context"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestReplicasAnswerWhatTheyHaveGot follows one through its life: up, late, level
// again, dead, and back.
func TestReplicasAnswerWhatTheyHaveGot(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	standby := pg.Replica(t)
	w := open(t, store.Options{URL: pg.URL(), ReadURLs: []string{standby.URL()}})
	f := &fleet{t: t, world: w}
	f.found()
	channel := f.channels[0]
	head := chat.Seq(1) // the channel's making
	send := func() {
		t.Helper()
		out, err := w.Commit(t.Context(), []state.Change{f.message(0)})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
		head = out[0].Entry.Seq
	}
	// right reads both ways and wants everything, wherever it is from.
	right := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		log, err := w.LogTo(ctx, channel, 0, 1000, head)
		if err != nil || chat.Seq(len(log)) != head {
			t.Fatalf("the log has %d of %d entries: %v", len(log), head, err)
		}
		page, err := w.History(ctx, model.HistoryQuery{ChannelID: channel, Viewer: "ada", Limit: 1000})
		if err != nil || chat.Seq(len(page)) != head-1 {
			t.Fatalf("the history has %d of %d messages: %v", len(page), head-1, err)
		}
		if _, err := w.History(ctx, model.HistoryQuery{ChannelID: channel, Viewer: "eve", Limit: 1}); code(err) != chat.Forbidden && code(err) != code(chat.ErrAccessDenied) {
			t.Fatalf("an outsider got %v", err)
		}
	}
	stats := func() store.ReplicaStats { return w.PoolStats().Replicas[0] }

	send()
	eventually(t, "the replica serves", func() bool { right(); return stats().Served > 4 })

	// Late: passed over at once, then left alone, and nothing is missing.
	if err := standby.Exec("postgres", "SELECT pg_wal_replay_pause()"); err != nil {
		t.Fatal(err)
	}
	send()
	served := stats().Served
	eventually(t, "the late replica is out", func() bool { right(); return stats().Unavailable })
	if s := stats(); s.Served != served || s.Behind < 5 {
		t.Errorf("while late: %+v", s)
	}
	behind := stats().Behind
	right()
	if s := stats(); s.Behind != behind && s.Unavailable {
		t.Errorf("a replica that is out was asked: %+v", s)
	}
	if err := standby.Exec("postgres", "SELECT pg_wal_replay_resume()"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the replica is in again", func() bool { right(); return !stats().Unavailable && stats().Served > served })

	// Dead, in the middle of everything.
	standby.Kill()
	for range 20 {
		send()
		right()
	}
	eventually(t, "the dead replica is out", func() bool { right(); return stats().Unavailable })
	served = stats().Served
	standby.Start()
	eventually(t, "the replica is back", func() bool { right(); return !stats().Unavailable && stats().Served > served })

	if n := w.seen.of(w.seen.refused, "unreachable"); n != 0 {
		t.Errorf("%d units of work count as refused, while the primary served them", n)
	}

	// Frozen: nobody waits for it.
	standby.Pause()
	for range 20 {
		right()
	}
	eventually(t, "the frozen replica is out", func() bool { right(); return stats().Unavailable })
	standby.Continue()
	eventually(t, "the replica is back", func() bool { right(); return !stats().Unavailable })
	if _, err := w.Users(t.Context(), []chat.UserID{"ada"}); err != nil || w.PoolStats().Unreachable {
		t.Errorf("the primary was taken for the replica: %v", err)
	}
	t.Logf("%+v", stats())
}

func TestAReplicaThatIsAwayAtTheStartIsNoReasonNotToStart(t *testing.T) {
	t.Parallel()
	w := open(t, store.Options{URL: pgtest.DatabaseUnlessShort(t), ReadURLs: []string{"postgres://chowk@127.0.0.1:1/postgres"}})
	f := &fleet{t: t, world: w}
	f.found()
	for range 10 {
		if log, err := w.LogTo(t.Context(), f.channels[0], 0, 10, 1); err != nil || len(log) != 1 {
			t.Fatalf("%d entries, %v", len(log), err)
		}
	}
	eventually(t, "the replica is out", func() bool { return w.PoolStats().Replicas[0].Unavailable })
}
