package store

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/database"
)

const (
	maxBatch     = 256     // keys of one load
	maxRequested = 1 << 15 // keys that wait for a load
	loadTimeout  = 5 * time.Second
	// A load that gets no connection is tried maxLoads times, loadRetryPause apart.
	maxLoads       = 3
	loadRetryPause = 50 * time.Millisecond
)

// batcher turns many calls into few loads: calls that arrive during a load are the next
// one. A thousand sockets that connect at once cost a dozen statements.
type batcher[K comparable, V any] struct {
	load func(ctx context.Context, keys []K) (map[K]V, error)
	done sync.WaitGroup

	mu      sync.Mutex // guards what follows
	waiting map[K]*request[V]
	order   []K
	busy    bool
	closed  bool
}

// request is a key that waits for its load.
type request[V any] struct {
	callers int // who wait; guarded by the batcher's mu
	done    chan struct{}
	value   V
	found   bool
	err     error
}

func newBatcher[K comparable, V any](load func(context.Context, []K) (map[K]V, error)) *batcher[K, V] {
	return &batcher[K, V]{load: load, waiting: make(map[K]*request[V])}
}

// get loads a value, and reports whether there is one. A caller whose ctx ends leaves. The
// load goes on for the others. A key for which no one waits any longer is not loaded:
// otherwise the requests of a reconnect storm would be answered after its clients have
// left.
func (b *batcher[K, V]) get(ctx context.Context, key K) (value V, found bool, err error) {
	return b.request(key)(ctx)
}

// request adds a key to the next load, and returns a function that waits for it.
func (b *batcher[K, V]) request(key K) (wait func(context.Context) (value V, found bool, err error)) {
	r, err := b.join(key)
	return func(ctx context.Context) (value V, found bool, _ error) {
		if err != nil {
			return value, false, err
		}
		select {
		case <-r.done:
			return r.value, r.found, r.err
		case <-ctx.Done():
			b.leave(r)
			return value, false, database.Overloaded(ctx.Err())
		}
	}
}

func (b *batcher[K, V]) leave(r *request[V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.callers--
}

func (b *batcher[K, V]) join(key K) (*request[V], error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, database.Unavailable(errors.New("the store is closed"))
	}
	r := b.waiting[key]
	if r == nil {
		if len(b.order) >= maxRequested {
			return nil, database.Overloaded(database.ErrQueueFull)
		}
		r = &request[V]{done: make(chan struct{})}
		b.waiting[key] = r
		b.order = append(b.order, key)
	}
	r.callers++
	if !b.busy {
		b.busy = true
		b.done.Go(b.run) // ends when no key waits
	}
	return r, nil
}

func (b *batcher[K, V]) run() {
	for {
		// Let the goroutines that are about to call do so first: otherwise a database that
		// answers faster than a thousand goroutines can run gets a thousand loads.
		runtime.Gosched()
		keys, requests := b.take()
		if keys == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
		values, err := b.loadWithRetry(ctx, keys)
		cancel()
		for i, r := range requests {
			r.value, r.found = values[keys[i]]
			r.err = err
			close(r.done)
		}
	}
}

// loadWithRetry tries again when a load gets no connection: hundreds of callers wait for
// it, and each of them longer than for a connection.
func (b *batcher[K, V]) loadWithRetry(ctx context.Context, keys []K) (map[K]V, error) {
	for attempt := 1; ; attempt++ {
		values, err := b.load(ctx, keys)
		if !errors.Is(err, database.ErrNotBegun) || attempt == maxLoads || !async.Sleep(ctx, loadRetryPause) {
			return values, err
		}
	}
}

// take returns the keys of the next load, nil when there are none.
func (b *batcher[K, V]) take() (keys []K, requests []*request[V]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.order) > 0 && len(keys) < maxBatch {
		k := b.order[0]
		b.order = b.order[1:]
		if r := b.waiting[k]; r.callers > 0 {
			keys, requests = append(keys, k), append(requests, r)
		}
		delete(b.waiting, k)
	}
	if keys == nil {
		b.busy, b.order = false, nil
	}
	return keys, requests
}

func (b *batcher[K, V]) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.done.Wait()
}
