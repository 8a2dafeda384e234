package database

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// newTestLeases returns leases without limits on how long they are held.
func newTestLeases(connections int) *leases {
	o := Options{HoldSoft: time.Hour, HoldHard: time.Hour, Priority: []string{"commit", "commit_reads"}}
	return newLeases(connections, "pool limit", newCommon(o.WithDefaults()))
}

// mustAcquire returns a lease and how long it took.
func mustAcquire(t *testing.T, l *leases) (h *lease, waited time.Duration) {
	t.Helper()
	start := time.Now()
	h, err := l.acquire(t.Context(), "history", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return h, time.Since(start)
}

// TestUnitsWithPriorityGoFirst, even when the queue is full of others.
func TestUnitsWithPriorityGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLeases(1)
		first, _ := mustAcquire(t, l)
		var order []string
		var mu sync.Mutex // guards order
		var waiting sync.WaitGroup
		acquire := func(unit string) {
			waiting.Go(func() {
				h, err := l.acquire(context.Background(), unit, time.Minute)
				if err != nil {
					t.Errorf("%s: %v", unit, err)
					return
				}
				mu.Lock()
				order = append(order, unit)
				mu.Unlock()
				l.release(h)
			})
			synctest.Wait()
		}
		for range maxWaiting {
			acquire("history")
		}
		if _, err := l.acquire(t.Context(), "history", time.Second); err == nil {
			t.Error("a full queue accepted another read")
		}
		acquire("commit")
		acquire("commit_reads")
		l.release(first)
		waiting.Wait()
		if len(order) != maxWaiting+2 {
			t.Errorf("%d units were served, want %d", len(order), maxWaiting+2)
		}
		if slices.Index(order, "history") != 2 {
			t.Errorf("the first units served were %v, want the commits", order[:3])
		}
	})
}

// TestFewConnectionsOpenAtOnce when all units reach openDelay together: maxOpening at a
// time, while the others take what is released.
func TestFewConnectionsOpenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const connections = 30
		l := newTestLeases(connections)
		l.keptOpen = 10
		leases := make(chan *lease, connections)
		var waiting sync.WaitGroup
		for range connections {
			waiting.Go(func() {
				h, err := l.acquire(context.Background(), "history", time.Minute)
				if err != nil {
					t.Error(err)
				}
				leases <- h
			})
		}
		granted := make([]*lease, 0, connections)
		wantGranted := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			for len(leases) > 0 {
				granted = append(granted, <-leases)
			}
			if len(granted) != want {
				t.Fatalf("%s: %d leases were granted, want %d", when, len(granted), want)
			}
		}
		wantGranted("at once", 10)
		time.Sleep(openDelay)
		wantGranted("after openDelay", 12)
		time.Sleep(time.Second)
		wantGranted("while two connections are opening", 12)
		l.release(granted[0])
		wantGranted("after one was released", 13)
		l.release(granted[10])
		wantGranted("after one failed to open, which another unit may open", 14)
		l.connected(granted[13], 1)
		l.connected(granted[13], 1)
		wantGranted("after one was opened", 15)
		for len(granted) < connections {
			opening := slices.IndexFunc(granted, func(h *lease) bool { return h.opening })
			l.connected(granted[opening], 1)
			wantGranted("one by one", len(granted)+1)
		}
		waiting.Wait()
	})
}

// TestConnectionOpensOnlyAfterDelay: a unit gets a connection that is kept open if one
// is released soon, and another one is opened if not.
func TestConnectionOpensOnlyAfterDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLeases(2)
		l.keptOpen = 1
		first, waited := mustAcquire(t, l)
		if waited != 0 {
			t.Errorf("waited %v for a connection that is kept open, want 0", waited)
		}
		time.AfterFunc(openDelay/2, func() { l.release(first) })
		second, waited := mustAcquire(t, l)
		if waited != openDelay/2 || len(l.held) != 1 {
			t.Errorf("waited %v with %d held, want the released one after %v", waited, len(l.held), openDelay/2)
		}
		third, waited := mustAcquire(t, l)
		if waited != openDelay || len(l.held) != 2 {
			t.Errorf("waited %v with %d held, want another one after %v", waited, len(l.held), openDelay)
		}
		l.release(second)
		l.release(third)
		if l.free != 2 {
			t.Errorf("%d are free in the end, want 2", l.free)
		}
	})
}
