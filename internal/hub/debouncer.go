package hub

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// debouncer hands things over after a delay, all that came meanwhile together. It
// sleeps without a timer while there is nothing.
type debouncer[T comparable] struct {
	delay time.Duration
	do    func([]T)
	wake  chan struct{}

	mu  sync.Mutex // guards what follows
	due map[T]struct{}
}

func newLater[T comparable](delay time.Duration, do func([]T)) *debouncer[T] {
	return &debouncer[T]{delay: delay, do: do, wake: make(chan struct{}, 1), due: make(map[T]struct{})}
}

// put hands item over within the delay, once however often it is put.
func (l *debouncer[T]) put(item T) {
	l.mu.Lock()
	l.due[item] = struct{}{}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends.
func (l *debouncer[T]) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		t := time.NewTimer(l.delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		l.do(l.take())
	}
}

func (l *debouncer[T]) take() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	due := slices.Collect(maps.Keys(l.due))
	clear(l.due)
	return due
}
