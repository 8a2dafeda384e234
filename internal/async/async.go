// Package async holds the small parts that concurrent code needs again and
// again: a wake-up that is never lost, a sleep that ends with its context, work
// that repeats, and work that is collected for a while. It starts no goroutines:
// Run and Every work on the caller's.
package async

import (
	"context"
	"time"
)

// Signal wakes one goroutine. A wake-up that comes while no one receives is kept;
// several become one. The receiver therefore checks for all work that is due,
// not for one piece of it. Receive with <-s. Create a Signal with NewSignal.
type Signal chan struct{}

// NewSignal returns a signal without a wake-up.
func NewSignal() Signal { return make(Signal, 1) }

// Notify wakes the receiver, now or when it next receives. It never blocks.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// Wait blocks until the next wake-up. It returns false when ctx ends first.
func (s Signal) Wait(ctx context.Context) bool {
	select {
	case <-s:
		return true
	case <-ctx.Done():
		return false
	}
}

// Sleep blocks for d. It returns false as soon as ctx ends, and at once when ctx
// has ended already and d is not positive.
func Sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Every calls do once per interval until ctx ends, the first time after one
// interval. A call that takes longer than the interval skips the calls it
// overlaps.
func Every(ctx context.Context, interval time.Duration, do func()) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			do()
		case <-ctx.Done():
			return
		}
	}
}
