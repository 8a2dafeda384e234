package journal

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/trace"
)

var (
	errBusy = &chat.Error{
		Code: chat.Overloaded, RetryAfter: 500 * time.Millisecond,
		Message: "The server is busy and nothing was stored. Try again in a moment.",
	}
	errClosed = &chat.Error{
		Code: chat.Unavailable, RetryAfter: time.Second,
		Message: "The server is shutting down and nothing was stored. Reconnect, and try again.",
	}
)

// stalledAfter is how many times QueueTimeout a commit may take before the worker counts as
// stalled. It then refuses new changes at once instead of after a wait.
const stalledAfter = 2

// queue holds the changes that wait for the worker's next group. The worker's mutex guards it,
// except for pool.
type queue struct {
	// pool holds pending changes for reuse. A channel for each change would cost more than
	// the rest of the way to the database.
	pool sync.Pool

	changes []*pending // in the order of their deadlines
	bytes   int
	closed  bool
	timer   *time.Timer // refuses changes at their deadlines
	armed   bool
}

// pending is a change that waits. It is queued, and then either taken by the worker, refused
// by the queue's timer, or abandoned by its sender.
type pending struct {
	change    state.Change
	size      int       // bytes, about
	deadline  time.Time // for leaving the queue
	taken     bool      // by the worker or by the timer
	abandoned bool
	done      chan struct{} // has one token when outcome and err are set
	outcome   state.Outcome
	err       error
	trace     *trace.Change // nil for most
}

func (q *queue) newPending(c state.Change) *pending {
	p, _ := q.pool.Get().(*pending)
	if p == nil {
		p = &pending{done: make(chan struct{}, 1)}
	}
	p.change, p.size = c, 256
	if c.Message != nil {
		p.size += len(c.Message.Content)
	}
	return p
}

// release returns the outcome, and keeps p for another change.
func (q *queue) release(p *pending) (state.Outcome, error) {
	outcome, err := p.outcome, p.err
	p.trace.Refused(err)
	*p = pending{done: p.done}
	q.pool.Put(p)
	return outcome, err
}

// drop removes the first n changes.
func (q *queue) drop(n int) {
	rest := copy(q.changes, q.changes[n:])
	clear(q.changes[rest:])
	q.changes = q.changes[:rest]
}

// enqueue adds the change to the queue, or refuses it.
func (w *worker) enqueue(p *pending) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := &w.queue
	switch {
	case q.closed:
		return errClosed
	case len(q.changes) >= w.config.QueueChanges, q.bytes+p.size > w.config.QueueBytes:
		return errBusy
	}
	now := time.Now()
	if !w.since.IsZero() && now.Sub(w.since) > stalledAfter*w.config.QueueTimeout {
		return errBusy
	}
	p.deadline = now.Add(w.config.QueueTimeout)
	q.changes = append(q.changes, p)
	q.bytes += p.size
	if !q.armed {
		q.armed = true
		q.timer.Reset(w.config.QueueTimeout)
	}
	w.config.Metrics.Queued.Inc()
	w.wake.Notify()
	return nil
}

// take removes the next group from the queue.
func (w *worker) take() (group []*pending, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.queue.changes) && len(group) < w.config.GroupSize {
		p := w.queue.changes[n]
		n++
		w.queue.bytes -= p.size
		if p.abandoned {
			continue
		}
		p.taken = true
		group = append(group, p)
	}
	w.queue.drop(n)
	w.config.Metrics.Queued.Sub(float64(n))
	return group, w.queue.closed
}

// refuseLate refuses the changes that have reached their deadlines. One timer serves all: it is
// set for the first change of the queue, and set again if another one is first by then.
func (w *worker) refuseLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := &w.queue
	now, n := time.Now(), 0
	for n < len(q.changes) && !q.changes[n].deadline.After(now) {
		p := q.changes[n]
		n++
		q.bytes -= p.size
		if p.abandoned {
			continue
		}
		p.taken, p.err = true, errBusy
		w.config.Metrics.Refused.Inc()
		p.done <- struct{}{}
	}
	q.drop(n)
	w.config.Metrics.Queued.Sub(float64(n))
	if q.armed = len(q.changes) > 0; q.armed {
		q.timer.Reset(q.changes[0].deadline.Sub(now))
	}
}
