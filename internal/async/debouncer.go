package async

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Debouncer collects items and passes them on together, each once, after a delay.
// It has no timer while nothing is collected. Create one with NewDebouncer.
type Debouncer[T comparable] struct {
	delay time.Duration
	do    func([]T)
	wake  Signal

	mu  sync.Mutex // guards what follows
	due map[T]struct{}
}

// NewDebouncer returns a debouncer that calls do with the items, in no order, delay
// after the first of them was put. It does nothing until Run is called.
func NewDebouncer[T comparable](delay time.Duration, do func(items []T)) *Debouncer[T] {
	return &Debouncer[T]{delay: delay, do: do, wake: NewSignal(), due: make(map[T]struct{})}
}

// Put adds an item to those that are passed on next. An item that is among them
// already is not added again.
func (d *Debouncer[T]) Put(item T) {
	d.mu.Lock()
	d.due[item] = struct{}{}
	d.mu.Unlock()
	d.wake.Notify()
}

// Run passes items on until ctx ends. Items that are waiting then are dropped.
func (d *Debouncer[T]) Run(ctx context.Context) {
	for d.wake.Wait(ctx) && Sleep(ctx, d.delay) {
		if items := d.take(); len(items) > 0 {
			d.do(items)
		}
	}
}

func (d *Debouncer[T]) take() []T {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := slices.Collect(maps.Keys(d.due))
	clear(d.due)
	return items
}
