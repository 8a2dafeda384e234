package async_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/async"
)

func TestSignalKeepsOneWakeUp(t *testing.T) {
	s := async.NewSignal()
	s.Notify()
	s.Notify() // does not block
	if !s.Wait(t.Context()) {
		t.Error("the wake-up was lost")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if s.Wait(ended) {
		t.Error("two notifications became two wake-ups")
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		type sleep struct {
			Done  bool
			After time.Duration
		}
		var got []sleep
		for _, d := range []time.Duration{0, 300 * time.Millisecond, time.Minute, time.Minute, 0, -1} {
			done := async.Sleep(short, d)
			got = append(got, sleep{done, time.Since(begin)})
		}
		want := []sleep{
			{true, 0},
			{true, 300 * time.Millisecond},
			{false, time.Second},
			{false, time.Second},
			{false, time.Second},
			{false, time.Second},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sleeps (-want +got):\n%s", diff)
		}
	})
}

func TestEveryRepeatsUntilTheContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		begin := time.Now()
		var got []time.Duration
		async.Every(ctx, time.Second, func() { got = append(got, time.Since(begin)) })
		if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 3 * time.Second}, got); diff != "" {
			t.Errorf("calls (-want +got):\n%s", diff)
		}
		if took := time.Since(begin); took != 3500*time.Millisecond {
			t.Errorf("Every returned after %s, not when its context ended", took)
		}
	})
}

func TestDebouncerPassesItemsOnTogetherAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type batch struct {
			Items []string
			After time.Duration
		}
		begin := time.Now()
		var got []batch
		d := async.NewDebouncer(time.Second, func(items []string) {
			slices.Sort(items)
			got = append(got, batch{items, time.Since(begin)})
		})
		ctx, cancel := context.WithCancel(t.Context())
		go d.Run(ctx) // ends when cancel is called
		d.Put("a")
		time.Sleep(900 * time.Millisecond)
		d.Put("b")
		d.Put("a")
		time.Sleep(2100 * time.Millisecond)
		d.Put("c")
		time.Sleep(time.Minute)
		d.Put("dropped")
		synctest.Wait()
		cancel()
		synctest.Wait()
		want := []batch{{[]string{"a", "b"}, time.Second}, {[]string{"c"}, 4 * time.Second}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
	})
}
