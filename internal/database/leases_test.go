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
	return newLeases(connections, "pool limit", newCommon(o.withDefaults()))
}

// TestCommitsGoBeforeReads, and find a place when the queue is full of them.
func TestCommitsGoBeforeReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLeases(1)
		first, err := l.acquire(t.Context(), "history", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var mu sync.Mutex // guards order
		var waiting sync.WaitGroup
		ask := func(unit string) {
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
			ask("history")
		}
		if _, err := l.acquire(t.Context(), "history", time.Second); err == nil {
			t.Error("a read got a place in a full queue")
		}
		ask("commit")
		ask("commit_reads")
		l.release(first)
		waiting.Wait()
		if len(order) != maxWaiting+2 || slices.Index(order, "history") != 2 {
			t.Errorf("%d had their turn, the first of them %v", len(order), order[:3])
		}
	})
}

// TestNoCrowdOfConnectionsIsOpened when everything stands still for a moment: two at a
// time, while the others take what is given back.
func TestNoCrowdOfConnectionsIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLeases(30)
		l.keptOpen = 10
		turns := make(chan *lease, 30)
		var asking sync.WaitGroup
		for range 30 {
			asking.Go(func() {
				h, err := l.acquire(context.Background(), "history", time.Minute)
				if err != nil {
					t.Error(err)
				}
				turns <- h
			})
		}
		synctest.Wait()
		given := make([]*lease, 0, 30)
		have := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			for len(turns) > 0 {
				given = append(given, <-turns)
			}
			if len(given) != want {
				t.Fatalf("%s: %d had their turn, want %d", when, len(given), want)
			}
		}
		have("at once", 10)
		time.Sleep(openDelay)
		have("having hesitated", 12)
		time.Sleep(time.Second)
		have("while two are being opened", 12)
		l.release(given[0])
		have("with one given back", 13)
		l.release(given[10])
		have("with one that could not be opened, which the next may try", 14)
		l.connected(given[13], 1)
		l.connected(given[13], 1)
		have("with one open", 15)
		for len(given) < 30 {
			one := slices.IndexFunc(given, func(h *lease) bool { return h.opening })
			l.connected(given[one], 1)
			have("one by one", len(given)+1)
		}
		asking.Wait()
	})
}

// TestAFailureAmongAnswersIsNoSilence: only those that began after the last answer
// count.
func TestAFailureAmongAnswersIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		converted := make(chan bool, 2)
		b := newBreaker(func(context.Context) error { return nil }, func(open bool) { converted <- open })
		began := time.Now()
		time.Sleep(time.Millisecond)
		b.answered()
		for range failuresToOpen {
			b.failed(began)
		}
		synctest.Wait()
		if len(converted) != 0 {
			t.Error("it tripped over what began before the last answer")
		}
		for range failuresToOpen {
			b.failed(time.Now())
		}
		synctest.Wait()
		if len(converted) != 2 || !<-converted || <-converted {
			t.Error("it did not trip, or did not heal")
		}
		b.close()
	})
}

// TestOneMoreIsOpenedOnlyAfterAMoment: whoever can have a kept connection soon is
// given that, and nobody waits for one while there is room to open another.
func TestOneMoreIsOpenedOnlyAfterAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newTestLeases(2)
		l.keptOpen = 1
		take := func() (h *lease, waited time.Duration) {
			start := time.Now()
			h, err := l.acquire(t.Context(), "history", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return h, time.Since(start)
		}
		first, waited := take()
		if waited != 0 {
			t.Errorf("waited %v for a connection that is kept", waited)
		}
		time.AfterFunc(openDelay/2, func() { l.release(first) })
		second, waited := take()
		if waited != openDelay/2 || len(l.held) != 1 {
			t.Errorf("waited %v, and %d are held: want the kept one", waited, len(l.held))
		}
		third, waited := take()
		if waited != openDelay || len(l.held) != 2 {
			t.Errorf("waited %v, and %d are held: want one more after %v", waited, len(l.held), openDelay)
		}
		l.release(second)
		l.release(third)
		if l.free != 2 {
			t.Errorf("%d are free in the end", l.free)
		}
	})
}
