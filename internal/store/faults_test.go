package store_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// recoveryTimeout is how soon after a fault the first message must be acknowledged.
const recoveryTimeout = 2 * time.Second

// duration returns how long a fault lasts.
func duration(short, longer time.Duration) time.Duration {
	if long {
		return longer
	}
	return short
}

// health pings the database all the time.
type health struct {
	worst  atomic.Int64 // ns that a ping took
	failed atomic.Int64
	pings  atomic.Int64
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func watchHealth(w *world) *health {
	ctx, stop := context.WithCancel(context.Background())
	h := &health{stop: stop}
	h.done.Go(func() { // ends with ctx
		for ctx.Err() == nil {
			start := time.Now()
			if w.Ping(ctx) != nil && ctx.Err() == nil {
				h.failed.Add(1)
			}
			h.pings.Add(1)
			if took := time.Since(start).Nanoseconds(); took > h.worst.Load() {
				h.worst.Store(took)
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return h
}

func (h *health) end() {
	h.stop()
	h.done.Wait()
}

// testFault runs a workload before, during and after a fault of the database. healthy means
// that pings succeed during the fault.
func testFault(t *testing.T, url string, strike func(w *world), healthy bool) {
	t.Helper()
	w := open(t, store.Options{URL: url, HoldHard: time.Second, HoldSoft: 500 * time.Millisecond})
	l := startWorkload(t, w)
	databasetest.Eventually(t, "messages are sent", func() bool { return l.acks.Load() > 100 })
	h := watchHealth(w)
	strike(w)
	acks := l.acks.Load()
	took := databasetest.Eventually(t, "a message is acknowledged", func() bool { return l.acks.Load() > acks })
	databasetest.Eventually(t, "messages are sent as before", func() bool { return l.acks.Load() > acks+200 })
	databasetest.Eventually(t, "the database answers", func() bool { return w.Ping(t.Context()) == nil })
	h.end()
	l.end()
	l.check(url)
	if took > recoveryTimeout {
		t.Errorf("the first acknowledgement came %v after the fault, want at most %v", took, recoveryTimeout)
	}
	worst := time.Duration(h.worst.Load())
	if worst > 3*time.Second {
		t.Errorf("a ping took %v, want at most 3s", worst)
	}
	if n := h.failed.Load(); healthy && n > 0 {
		t.Errorf("%d of %d pings failed, want none", n, h.pings.Load())
	}
	if s := w.PoolStats(); s.InUse != 0 || s.Waiting != 0 || s.Unreachable {
		t.Errorf("afterwards the pool has %+v, want it idle", s)
	}
	t.Logf("first acknowledgement after %v; %d pings, %d failed, slowest %v", took, h.pings.Load(), h.failed.Load(), worst)
}

// connect opens a connection of its own.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func TestHotRowsLocked(t *testing.T) {
	url := pgtest.StartUnlessShort(t).URL()
	testFault(t, url, func(*world) {
		c := connect(t, url)
		if _, err := c.Exec(t.Context(), "BEGIN; SELECT 1 FROM channels FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(duration(2500*time.Millisecond, time.Minute))
		_ = c.Close(t.Context())
	}, true)
}

func TestDatabaseFrozen(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	testFault(t, pg.URL(), func(w *world) {
		pg.Pause()
		databasetest.Eventually(t, "work is refused at once", func() bool { return w.PoolStats().Unreachable })
		time.Sleep(duration(time.Second, 20*time.Second))
		pg.Continue()
	}, false)
}

func TestDatabaseKilled(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	testFault(t, pg.URL(), func(*world) {
		pg.Kill()
		time.Sleep(duration(time.Second, 10*time.Second))
		pg.Start()
	}, false)
}

func TestConnectionsKilledAtRandom(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	testFault(t, pg.URL(), func(*world) {
		c := connect(t, pg.URL())
		for end := time.Now().Add(duration(2*time.Second, 20*time.Second)); time.Now().Before(end); {
			if _, err := c.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'chowk' ORDER BY random() LIMIT 1`); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(40 * time.Millisecond)) //nolint:gosec // no secret
		}
	}, false)
}
