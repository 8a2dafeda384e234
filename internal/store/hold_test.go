package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/store"
)

// staller is a place where everybody waits until it is opened.
type staller struct {
	t      *testing.T
	shut   atomic.Bool
	open   chan struct{}
	stuck  atomic.Int64 // who waits here
	passed atomic.Int64
}

func newStaller(t *testing.T) *staller { return &staller{t: t, open: make(chan struct{})} }

func (s *staller) pass(what string) {
	if store.Holding() {
		s.t.Errorf("a connection is held during %s", what)
	}
	s.passed.Add(1)
	if s.shut.Load() {
		s.stuck.Add(1)
		<-s.open
		s.stuck.Add(-1)
	}
}

// client is a socket whose write blocks, worse than any real one.
type client struct{ stall *staller }

func (c client) Write([]byte) bool { c.stall.pass("a write to a socket"); return true }
func (c client) Backlogged() bool  { return false }

// publisher stands for the relay to the other nodes and the hub.
type publisher struct {
	stall *staller
	hub   *hub.Hub
}

func (p publisher) Publish(events []chat.Entry) { p.stall.pass("publishing"); p.hub.Publish(events) }

func (p publisher) MarkUncertain(ids []chat.ID) { p.stall.pass("doubting"); p.hub.MarkUncertain(ids) }

// TestWhoeverWaitsHoldsNoConnection stalls the sockets and the publisher in the
// middle of everything: then no connection is in use, and all others are served.
func TestWhoeverWaitsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: 1}})
		watch := metric.New().Gateway.HeldWrites
		watch.Every = 1
		watch.Check()
		if err := w.InUnit(t.Context(), func() {
			watch.Check()
			if !store.Holding() || w.PoolStats().InUse != 1 {
				t.Error("who holds a connection is not found out")
			}
		}); err != nil {
			t.Fatal(err)
		}
		if n := testutil.ToFloat64(watch.Found); n != 1 {
			t.Errorf("%v writes with a connection were counted, want 1", n)
		}
		sockets, relay := newStaller(t), newStaller(t)
		live := hub.Start(hub.Config{Store: w})
		j := journal.Start(journal.Config{Store: w, Publisher: publisher{relay, live}})
		f := &fleet{t: t, world: w}
		f.found()
		var attached []*hub.Socket
		for range 30 {
			s, _, err := live.Attach(t.Context(), client{sockets}, "ada", 0, false)
			if err != nil {
				t.Fatal(err)
			}
			s.Open()
			attached = append(attached, s)
		}
		var senders sync.WaitGroup
		send := func() {
			senders.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				_, _ = j.Commit(ctx, f.message(0)) // stalled ones may be refused
			})
		}
		send()
		senders.Wait()
		eventually(t, "sockets are written to", func() bool { return sockets.passed.Load() > 0 })

		sockets.shut.Store(true)
		for range 100 {
			send()
		}
		eventually(t, "the fan-out hangs in a write", func() bool { return sockets.stuck.Load() > 0 })
		relay.shut.Store(true)
		for range 100 {
			send()
		}
		eventually(t, "a lane hangs in publishing", func() bool { return relay.stuck.Load() > 0 })
		eventually(t, "no connection is in use", func() bool { s := w.PoolStats(); return s.InUse == 0 && s.Waiting == 0 })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := w.Channels(ctx, "ada", false); err != nil {
			t.Errorf("others are not served: %v", err)
		}
		if s := w.PoolStats(); s.InUse != 0 {
			t.Errorf("%d connections are in use while everything waits: %+v", s.InUse, s.Holders)
		}
		close(sockets.open)
		close(relay.open)
		senders.Wait()
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
		for _, s := range attached {
			s.Close()
		}
		live.Close()
	})
}
