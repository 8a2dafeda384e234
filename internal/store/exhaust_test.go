package store_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// recovery is how soon after a fault the first message must be acknowledged.
const recovery = 2 * time.Second

// lasts is how long a fault goes on.
func lasts(short, longer time.Duration) time.Duration {
	if long {
		return longer
	}
	return short
}

// health asks all the time whether the database answers.
type health struct {
	worst  atomic.Int64 // ns that an answer took
	failed atomic.Int64
	asked  atomic.Int64
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func watchHealth(w *world) *health {
	ctx, stop := context.WithCancel(context.Background())
	h := &health{stop: stop}
	h.done.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			if w.Ping(ctx) != nil && ctx.Err() == nil {
				h.failed.Add(1)
			}
			h.asked.Add(1)
			if took := time.Since(began).Nanoseconds(); took > h.worst.Load() {
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

// fault runs a fleet before, during and after a fault of the database.
func fault(t *testing.T, url string, strike func(f *fleet), during bool) {
	t.Helper()
	w := open(t, store.Options{URL: url, HoldHard: time.Second, HoldSoft: 500 * time.Millisecond})
	f := launch(t, w)
	eventually(t, "the fleet sends", func() bool { return f.acks.Load() > 100 })
	h := watchHealth(w)
	strike(f)
	acks := f.acks.Load()
	took := eventually(t, "messages are acknowledged again", func() bool { return f.acks.Load() > acks })
	eventually(t, "the fleet is at its usual pace", func() bool { return f.acks.Load() > acks+200 })
	eventually(t, "health is well", func() bool { return w.Ping(t.Context()) == nil })
	h.end()
	f.land()
	f.check(url)
	if took > recovery {
		t.Errorf("the first acknowledgement came %v after the fault", took)
	}
	if worst := time.Duration(h.worst.Load()); worst > 3*time.Second || during && h.failed.Load() > 0 {
		t.Errorf("health took up to %v, and failed %d of %d times", worst, h.failed.Load(), h.asked.Load())
	}
	if s := w.PoolStats(); s.InUse != 0 || s.Waiting != 0 || s.Unreachable {
		t.Errorf("afterwards: %+v", s)
	}
	t.Logf("first acknowledgement after %v; health asked %d times, failed %d, slowest %v", took, h.asked.Load(), h.failed.Load(), time.Duration(h.worst.Load()))
}

func TestHotRowsLocked(t *testing.T) {
	url := pgtest.StartUnlessShort(t).URL()
	fault(t, url, func(*fleet) {
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(context.Background()) }()
		if _, err := c.Exec(t.Context(), "BEGIN; SELECT 1 FROM channels FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lasts(2500*time.Millisecond, time.Minute))
	}, true)
}

func TestDatabaseFrozen(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	fault(t, pg.URL(), func(f *fleet) {
		pg.Pause()
		eventually(t, "work is refused at once", func() bool { return f.world.PoolStats().Unreachable })
		time.Sleep(lasts(time.Second, 20*time.Second))
		pg.Continue()
	}, false)
}

func TestDatabaseKilled(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	fault(t, pg.URL(), func(*fleet) {
		pg.Kill()
		time.Sleep(lasts(time.Second, 10*time.Second))
		pg.Start()
	}, false)
}

func TestConnectionsKilledAtRandom(t *testing.T) {
	pg := pgtest.StartUnlessShort(t)
	fault(t, pg.URL(), func(*fleet) {
		c, err := pgx.Connect(t.Context(), pg.URL())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(context.Background()) }()
		for end := time.Now().Add(lasts(2*time.Second, 20*time.Second)); time.Now().Before(end); {
			if _, err := c.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'chowk' ORDER BY random() LIMIT 1`); err != nil {
				t.Fatal(err)
			}
			time.Sleep(rand.N(40 * time.Millisecond)) //nolint:gosec // no secret
		}
	}, false)
}
