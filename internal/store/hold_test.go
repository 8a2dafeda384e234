package store_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/store"
)

// gate blocks everything that passes it, once it is shut, until it is opened.
type gate struct {
	t       *testing.T
	shut    atomic.Bool
	open    chan struct{}
	blocked atomic.Int64
	passed  atomic.Int64
}

func newGate(t *testing.T) *gate { return &gate{t: t, open: make(chan struct{})} }

func (g *gate) pass(what string) {
	if databasetest.Holding() {
		g.t.Errorf("a connection is held during %s", what)
	}
	g.passed.Add(1)
	if g.shut.Load() {
		g.blocked.Add(1)
		<-g.open
		g.blocked.Add(-1)
	}
}

// gatedSocket is a socket that blocks in writes, as no real one does.
type gatedSocket struct{ gate *gate }

func (s gatedSocket) Write([]byte) bool { s.gate.pass("a write to a socket"); return true }
func (gatedSocket) Backlogged() bool    { return false }

// gatedPublisher stands for the relay and the hub.
type gatedPublisher struct {
	gate *gate
	hub  *hub.Hub
}

func (p gatedPublisher) Publish(entries []chat.Entry) {
	p.gate.pass("publishing")
	p.hub.Publish(entries)
}

func (p gatedPublisher) MarkUncertain(channels []chat.ID) {
	p.gate.pass("marking channels uncertain")
	p.hub.MarkUncertain(channels)
}

// TestHeldConnectionIsDetected: the other tests rely on that.
func TestHeldConnectionIsDetected(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		writes := metric.New().Gateway.HeldWrites
		writes.Every = 1
		writes.Check()
		if err := w.InUnit(t.Context(), func() {
			writes.Check()
			if !databasetest.Holding() || w.PoolStats().InUse != 1 {
				t.Error("a held connection is not detected")
			}
		}); err != nil {
			t.Fatal(err)
		}
		if n := testutil.ToFloat64(writes.Found); n != 1 {
			t.Errorf("%v writes with a connection were counted, want 1", n)
		}
	})
}

// TestNothingThatWaitsHoldsAConnection blocks the sockets and the publisher in the middle of
// everything. Then no connection is in use, and all others are served.
func TestNothingThatWaitsHoldsAConnection(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url, Pool: store.Pool{Size: 2, Overflow: 1}})
		sockets, publishing := newGate(t), newGate(t)
		live := hub.Start(hub.Config{Store: w})
		defer live.Close()
		j := journal.Start(journal.Config{Store: w, Publisher: gatedPublisher{publishing, live}})
		channel := newChannel(t, w.Store)
		for range 30 {
			s, _, err := live.Attach(t.Context(), gatedSocket{sockets}, "ada", 0, false)
			if err != nil {
				t.Fatal(err)
			}
			s.Open()
			defer s.Close()
		}
		var senders sync.WaitGroup
		send := func(n int) {
			for range n {
				senders.Go(func() { // ends when the message is stored or refused
					_, _ = j.Commit(patiently(t), sending(channel, "hello"))
				})
			}
		}
		send(1)
		senders.Wait()
		databasetest.Eventually(t, "sockets are written to", func() bool { return sockets.passed.Load() > 0 })

		sockets.shut.Store(true)
		send(100)
		databasetest.Eventually(t, "the fan-out blocks in a write", func() bool { return sockets.blocked.Load() > 0 })
		publishing.shut.Store(true)
		send(100)
		databasetest.Eventually(t, "a worker blocks in publishing", func() bool { return publishing.blocked.Load() > 0 })
		databasetest.Eventually(t, "no connection is in use", func() bool {
			s := w.PoolStats()
			return s.InUse == 0 && s.Waiting == 0
		})
		if _, err := w.Channels(patiently(t), "ada", false); err != nil {
			t.Errorf("others are not served: %v", err)
		}
		if s := w.PoolStats(); s.InUse != 0 {
			t.Errorf("%d connections are in use while everything waits: %+v", s.InUse, s.Holders)
		}
		close(sockets.open)
		close(publishing.open)
		senders.Wait()
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
