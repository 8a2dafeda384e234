package database

import (
	"context"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// breaker refuses units of work at once while the database does not answer, so
// that nobody waits for what will not come. It finds out by itself when it answers
// again.
type breaker struct {
	probe func(context.Context) error
	// tripped and healed are told of the change, outside of any lock.
	changed func(open bool)
	stop    context.Context //nolint:containedctx // of the breaker's whole life
	end     context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	last     time.Time  // when it answered
	open     bool
}

const (
	tripAfter  = 3
	probeEvery = 200 * time.Millisecond
)

func newBreaker(probe func(context.Context) error, changed func(open bool)) *breaker {
	stop, end := context.WithCancel(context.Background())
	return &breaker{probe: probe, changed: changed, stop: stop, end: end}
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// answered notes that the database answered, if only with an error of its own.
func (b *breaker) answered() {
	b.mu.Lock()
	b.failures, b.last = 0, time.Now()
	b.mu.Unlock()
}

// failed notes that the database could not be reached, or did not answer, since then:
// which says nothing of it when it has answered others after that.
func (b *breaker) failed(since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.After(since) {
		return
	}
	if b.failures++; b.failures < tripAfter || b.open || b.stop.Err() != nil {
		return
	}
	b.open = true
	b.done.Go(b.reset) // ends when the database answers, or with close
}

func (b *breaker) reset() {
	b.changed(true)
	for {
		ctx, cancel := context.WithTimeout(b.stop, pingTimeout)
		err := b.probe(ctx)
		cancel()
		if err == nil {
			break
		}
		if !async.Sleep(b.stop, probeEvery) {
			return
		}
	}
	b.mu.Lock()
	b.open, b.failures = false, 0
	b.mu.Unlock()
	b.changed(false)
}

func (b *breaker) close() {
	b.mu.Lock()
	b.end() // under the lock: failed starts nothing any more
	b.mu.Unlock()
	b.done.Wait()
}
