package client

import (
	"sync"

	"github.com/chowk-chat/chowk/internal/async"
)

// queue holds the events that wait for Next: at most max, except forced ones, which are
// few (one for each channel and connection) and must not be lost.
type queue struct {
	max   int
	ready async.Signal // holds a token while there may be an event
	room  async.Signal // holds a token while there may be room

	mu    sync.Mutex // guards what follows
	items []Event
}

func newQueue(size int) *queue {
	return &queue{max: size, ready: async.NewSignal(), room: async.NewSignal()}
}

func (q *queue) put(ev Event, force bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) >= q.max && !force {
		return false
	}
	q.items = append(q.items, ev)
	q.ready.Notify()
	return true
}

// take returns the oldest event. half reports that the queue is at most half full.
func (q *queue) take() (ev Event, half, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return Event{}, true, false
	}
	ev = q.items[0]
	q.items[0] = Event{}
	q.items = q.items[1:]
	if len(q.items) > 0 {
		q.ready.Notify() // for another waiting Next
	} else {
		q.items = nil
	}
	q.room.Notify()
	return ev, len(q.items) <= q.max/2, true
}

// halfEmpty reports whether the queue is at most half full.
func (q *queue) halfEmpty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) <= q.max/2
}
