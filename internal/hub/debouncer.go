package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// debouncer passes on items after a delay, together with those that came meanwhile.
// While it has no items it waits without a timer.
type debouncer[T comparable] struct {
	delay time.Duration
	do    func([]T)
	wake  chan struct{}

	mu  sync.Mutex // guards what follows
	due map[T]struct{}
}

func newDebouncer[T comparable](delay time.Duration, do func([]T)) *debouncer[T] {
	return &debouncer[T]{delay: delay, do: do, wake: make(chan struct{}, 1), due: make(map[T]struct{})}
}

// put passes on item within the delay, once however often it is put.
func (d *debouncer[T]) put(item T) {
	d.mu.Lock()
	d.due[item] = struct{}{}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (d *debouncer[T]) run(ctx context.Context) {
	for {
		select {
		case <-d.wake:
		case <-ctx.Done():
			return
		}
		t := time.NewTimer(d.delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		d.do(d.take())
	}
}

func (d *debouncer[T]) take() []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := slices.Collect(maps.Keys(d.due))
	clear(d.due)
	return due
}
