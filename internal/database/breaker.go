package database

import (
	"context"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// breaker opens when the database does not answer. Units of work are then refused at
// once, instead of waiting in vain. It probes the database and closes when it answers
// again.
type breaker struct {
	probe   func(context.Context) error
	changed func(open bool)
	ctx     context.Context //nolint:containedctx // of the breaker's whole life
	cancel  context.CancelFunc
	done    sync.WaitGroup

	mu       sync.Mutex // guards what follows
	failures int        // in a row
	answer   time.Time  // the last one
	open     bool
}

const (
	failuresToOpen = 3
	probeInterval  = 200 * time.Millisecond
)

// newBreaker returns a closed breaker. changed is called without a lock.
func newBreaker(probe func(context.Context) error, changed func(open bool)) *breaker {
	ctx, cancel := context.WithCancel(context.Background())
	return &breaker{probe: probe, changed: changed, ctx: ctx, cancel: cancel}
}

func (b *breaker) isOpen() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// answered records that the database answered, even if with an error.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.answer = 0, time.Now()
}

// failed records that the database did not answer what began at since. It does not
// count when the database has answered others after that.
func (b *breaker) failed(since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answer.After(since) {
		return
	}
	if b.failures++; b.failures < failuresToOpen || b.open || b.ctx.Err() != nil {
		return
	}
	b.open = true
	b.done.Go(b.reset) // ends when the database answers, or with close
}

// reset probes until the database answers, then closes the breaker.
func (b *breaker) reset() {
	b.changed(true)
	for b.probeOnce() != nil {
		if !async.Sleep(b.ctx, probeInterval) {
			return
		}
	}
	b.mu.Lock()
	b.open, b.failures = false, 0
	b.mu.Unlock()
	b.changed(false)
}

func (b *breaker) probeOnce() error {
	ctx, cancel := context.WithTimeout(b.ctx, pingTimeout)
	defer cancel()
	return b.probe(ctx)
}

func (b *breaker) close() {
	b.mu.Lock()
	b.cancel() // under the lock, so that failed starts nothing afterwards
	b.mu.Unlock()
	b.done.Wait()
}
