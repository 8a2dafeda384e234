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

// gatherMost is how many keys one load takes, gatherTimeout how long it may last.
const (
	gatherMost    = 256 // keys of one load
	gatherTimeout = 5 * time.Second
	gatherQueue   = 1 << 15 // keys that wait for a load
	gatherTries   = 3       // of a load that gets no connection, gatherPause apart
	gatherPause   = 50 * time.Millisecond
)

// batcher makes one load of many: calls that come while a load is under way are
// the next one. A thousand sockets that connect at once cost a dozen statements.
type batcher[K comparable, V any] struct {
	load func(ctx context.Context, keys []K) (map[K]V, error)
	done sync.WaitGroup

	mu      sync.Mutex // guards what follows
	waiting map[K]*gathered[V]
	order   []K
	busy    bool
	closed  bool
}

type gathered[V any] struct {
	askers int // guarded by the gatherer: those who wait
	done   chan struct{}
	value  V
	found  bool
	err    error
}

func newBatcher[K comparable, V any](load func(context.Context, []K) (map[K]V, error)) *batcher[K, V] {
	return &batcher[K, V]{load: load, waiting: make(map[K]*gathered[V])}
}

// get loads a value; found is false when there is none. A caller whose ctx ends
// leaves; the load goes on for the others, and what nobody waits for any more is
// not loaded: else a storm would be answered after its clients have gone.
func (g *batcher[K, V]) get(ctx context.Context, key K) (value V, found bool, err error) {
	return g.ask(key)(ctx)
}

// ask puts a key into the next load, and gives what waits for it.
func (g *batcher[K, V]) ask(key K) (wait func(context.Context) (value V, found bool, err error)) {
	r, err := g.join(key)
	return func(ctx context.Context) (value V, found bool, _ error) {
		if err != nil {
			return value, false, err
		}
		select {
		case <-r.done:
			return r.value, r.found, r.err
		case <-ctx.Done():
			g.leave(r)
			return value, false, database.Overloaded(ctx.Err())
		}
	}
}

func (g *batcher[K, V]) leave(r *gathered[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r.askers--
}

func (g *batcher[K, V]) join(key K) (*gathered[V], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, database.Unavailable(errors.New("the store is closed"))
	}
	r := g.waiting[key]
	if r == nil {
		if len(g.order) >= gatherQueue {
			return nil, database.Overloaded(database.ErrQueueFull)
		}
		r = &gathered[V]{done: make(chan struct{})}
		g.waiting[key] = r
		g.order = append(g.order, key)
	}
	r.askers++
	if !g.busy {
		g.busy = true
		g.done.Go(g.run) // ends when nobody waits
	}
	return r, nil
}

func (g *batcher[K, V]) run() {
	for {
		// Whoever is about to ask, asks first: a database that answers faster than
		// a thousand goroutines can be run would else be asked a thousand times.
		runtime.Gosched()
		keys, results := g.take()
		if keys == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
		values, err := g.loadWithRetry(ctx, keys)
		cancel()
		for i, r := range results {
			r.value, r.found = values[keys[i]]
			r.err = err
			close(r.done)
		}
	}
}

// loadWithRetry tries again when a load got no connection: hundreds wait for it, and
// each of them for longer than for one.
func (g *batcher[K, V]) loadWithRetry(ctx context.Context, keys []K) (map[K]V, error) {
	for try := 1; ; try++ {
		values, err := g.load(ctx, keys)
		if !errors.Is(err, database.ErrNotBegun) || try == gatherTries || !async.Sleep(ctx, gatherPause) {
			return values, err
		}
	}
}

func (g *batcher[K, V]) take() (keys []K, results []*gathered[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.order) > 0 && len(keys) < gatherMost {
		k := g.order[0]
		g.order = g.order[1:]
		if r := g.waiting[k]; r.askers > 0 {
			keys, results = append(keys, k), append(results, r)
		}
		delete(g.waiting, k)
	}
	if keys == nil {
		g.busy, g.order = false, nil
	}
	return keys, results
}

func (g *batcher[K, V]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.done.Wait()
}
