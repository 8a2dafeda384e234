package store

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCommitsGoBeforeReads, and find a place when the queue is full of them.
func TestCommitsGoBeforeReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(1, "pool limit", watch{soft: time.Hour, hard: time.Hour, log: slog.New(slog.DiscardHandler)}, noObserver{})
		first, err := l.take(t.Context(), "history", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		var mu sync.Mutex // guards order
		var waiting sync.WaitGroup
		ask := func(unit string) {
			waiting.Go(func() {
				h, err := l.take(context.Background(), unit, time.Minute)
				if err != nil {
					t.Errorf("%s: %v", unit, err)
					return
				}
				mu.Lock()
				order = append(order, unit)
				mu.Unlock()
				l.give(h)
			})
			synctest.Wait()
		}
		for range maxWaiting {
			ask("history")
		}
		if _, err := l.take(t.Context(), "history", time.Second); err == nil {
			t.Error("a read got a place in a full queue")
		}
		ask("commit")
		ask("commit_reads")
		l.give(first)
		waiting.Wait()
		if len(order) != maxWaiting+2 || slices.Index(order, "history") != 2 {
			t.Errorf("%d had their turn, the first of them %v", len(order), order[:3])
		}
	})
}

// TestOneMoreIsOpenedOnlyAfterAMoment: whoever can have a kept connection soon is
// given that, and nobody waits for one while there is room to open another.
func TestOneMoreIsOpenedOnlyAfterAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(2, "pool limit", watch{soft: time.Hour, hard: time.Hour, log: slog.New(slog.DiscardHandler)}, noObserver{})
		l.kept = 1
		take := func() (h *holding, waited time.Duration) {
			start := time.Now()
			h, err := l.take(t.Context(), "history", time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return h, time.Since(start)
		}
		first, waited := take()
		if waited != 0 {
			t.Errorf("waited %v for a connection that is kept", waited)
		}
		time.AfterFunc(hesitation/2, func() { l.give(first) })
		second, waited := take()
		if waited != hesitation/2 || len(l.held) != 1 {
			t.Errorf("waited %v, and %d are held: want the kept one", waited, len(l.held))
		}
		third, waited := take()
		if waited != hesitation || len(l.held) != 2 {
			t.Errorf("waited %v, and %d are held: want one more after %v", waited, len(l.held), hesitation)
		}
		l.give(second)
		l.give(third)
		if l.free != 2 {
			t.Errorf("%d are free in the end", l.free)
		}
	})
}
