package hub

import "sync"

// queue holds items that wait for a worker. An item that waits already is not added
// again, so a queue never holds more items than there are channels or sockets. An item
// that is added while a worker has it is processed once more afterwards.
type queue[T comparable] struct {
	mu     sync.Mutex // guards what follows
	ready  sync.Cond
	items  []T
	state  map[T]workState
	closed bool
}

type workState uint8

const (
	waiting workState = iota
	working
	again // added while a worker has it
)

func newQueue[T comparable]() *queue[T] {
	q := &queue[T]{state: make(map[T]workState)}
	q.ready.L = &q.mu
	return q
}

func (q *queue[T]) put(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	switch state, known := q.state[item]; {
	case !known:
		q.append(item)
	case state == working:
		q.state[item] = again
	}
}

// append is called with mu held.
func (q *queue[T]) append(item T) {
	q.state[item] = waiting
	q.items = append(q.items, item)
	q.ready.Signal()
}

// run processes items until the queue is closed.
func (q *queue[T]) run(work func(T)) {
	for {
		item, ok := q.take()
		if !ok {
			return
		}
		work(item)
		q.finish(item)
	}
}

// take waits for an item; ok is false when the queue is closed.
func (q *queue[T]) take() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.closed {
		q.ready.Wait()
	}
	if q.closed {
		return item, false
	}
	item = q.items[0]
	var zero T
	q.items[0] = zero
	q.items = q.items[1:]
	if len(q.items) == 0 {
		q.items = nil
	}
	q.state[item] = working
	return item, true
}

func (q *queue[T]) finish(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.state[item] == again && !q.closed {
		q.append(item)
		return
	}
	delete(q.state, item)
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}
