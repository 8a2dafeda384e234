package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

var (
	errFull    = &chat.Error{Code: chat.Overloaded, Message: "The server has more to write than it can take at this moment. Nothing was stored; send it again.", RetryAfter: 500 * time.Millisecond}
	errWaited  = &chat.Error{Code: chat.Overloaded, Message: "The database did not take this up in time. Nothing was stored; send it again.", RetryAfter: 500 * time.Millisecond}
	errClosed  = &chat.Error{Code: chat.Unavailable, Message: "The server is about to stop. Nothing was stored; send it again after reconnecting.", RetryAfter: time.Second}
	errUnknown = &chat.Error{Code: chat.Unavailable, Message: "The database did not answer in time, so it is not known whether this was stored. Send it again with the same client_id.", RetryAfter: time.Second}
)

// lane commits the changes of its channels, one group after the other.
type lane struct {
	config Config
	reads  *reads
	wake   chan struct{} // holds one token while there may be something to do

	mu     sync.Mutex // guards what follows
	queue  []*entry
	bytes  int
	closed bool
}

// entry is one change on its way. It is queued, then either taken by the lane or
// abandoned by its sender, never both: the lane's mutex decides.
type entry struct {
	change    chat.Change
	size      int
	taken     bool
	abandoned bool
	done      chan struct{} // closed when outcome and err are set
	outcome   chat.Outcome
	err       error
}

func newLane(c Config, r *reads) *lane {
	return &lane{config: c, reads: r, wake: make(chan struct{}, 1)}
}

func (l *lane) commit(ctx context.Context, c chat.Change) (chat.Outcome, error) {
	e := &entry{change: c, size: 256, done: make(chan struct{})}
	if c.Message != nil {
		e.size += len(c.Message.Content)
	}
	if err := l.put(e); err != nil {
		l.config.Metrics.Refused.Inc()
		return chat.Outcome{}, err
	}
	timer := time.NewTimer(l.config.QueueTimeout)
	defer timer.Stop()
	select {
	case <-e.done:
		return e.outcome, e.err
	case <-timer.C:
	case <-ctx.Done():
	}
	if l.abandon(e) {
		l.config.Metrics.Refused.Inc()
		return chat.Outcome{}, errWaited
	}
	select {
	case <-e.done:
		return e.outcome, e.err
	case <-ctx.Done():
		return chat.Outcome{}, errUnknown
	}
}

func (l *lane) put(e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errClosed
	case len(l.queue) >= l.config.QueueChanges, l.bytes+e.size > l.config.QueueBytes:
		return errFull
	}
	l.queue = append(l.queue, e)
	l.bytes += e.size
	l.config.Metrics.Queued.Inc()
	l.signal()
	return nil
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// abandon takes the entry back, unless the lane has taken it up.
func (l *lane) abandon(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.taken {
		return false
	}
	e.abandoned = true
	return true
}

// take removes the next group from the queue.
func (l *lane) take() (group []*entry, closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.queue) && len(group) < l.config.GroupSize {
		e := l.queue[n]
		n++
		l.bytes -= e.size
		if e.abandoned {
			continue
		}
		e.taken = true
		group = append(group, e)
	}
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	l.config.Metrics.Queued.Sub(float64(n))
	return group, l.closed
}

func (l *lane) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.signal()
}

func (l *lane) run(ctx context.Context) {
	for {
		group, closed := l.take()
		if len(group) > 0 {
			l.commitGroup(ctx, group)
			continue
		}
		if closed {
			return
		}
		<-l.wake
	}
}

func (l *lane) commitGroup(ctx context.Context, group []*entry) {
	changes := make([]chat.Change, len(group))
	for i, e := range group {
		changes[i] = e.change
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.CommitTimeout)
	defer cancel()
	start := time.Now()
	outcomes, err := l.config.Store.Commit(ctx, changes)
	l.config.Metrics.Group.Observe(float64(len(group)))
	l.config.Metrics.Commit.Observe(time.Since(start).Seconds())
	if err != nil {
		l.config.Log.Error("commit a group of changes", "changes", len(group), "took", time.Since(start), "err", err)
		err = fmt.Errorf("commit a group: %w", err)
		for _, e := range group {
			e.err = err
			close(e.done)
		}
		return
	}
	// Published before they are answered: the order is this goroutine's order, and
	// telling is only a hand-over to the hub.
	events := make([]chat.Event, 0, len(group))
	for i := range outcomes {
		if ev := outcomes[i].Event; ev != nil && outcomes[i].Err == nil {
			events = append(events, *ev)
		}
	}
	l.config.Publisher.Publish(events)
	for i, e := range group {
		e.outcome = outcomes[i]
		l.readOwn(&outcomes[i])
		close(e.done)
	}
}

// readOwn: whoever sends has read up to his own message.
func (l *lane) readOwn(out *chat.Outcome) {
	if out.Err == nil && !out.Duplicate && out.Event != nil && out.Event.Type == chat.EventMessage && out.Message != nil {
		l.reads.later(out.Message)
	}
}
