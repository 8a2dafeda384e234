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
