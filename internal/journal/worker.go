package journal

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/trace"
)

var (
	errFull         = &chat.Error{Code: chat.Overloaded, Message: "The server has more to write than it can take at this moment. Nothing was stored; send it again.", RetryAfter: 500 * time.Millisecond}
	errQueueTimeout = &chat.Error{Code: chat.Overloaded, Message: "The database did not take this up in time. Nothing was stored; send it again.", RetryAfter: 500 * time.Millisecond}
	errClosed       = &chat.Error{Code: chat.Unavailable, Message: "The server is about to stop. Nothing was stored; send it again after reconnecting.", RetryAfter: time.Second}
)

// worker commits the changes of its channels, one group after the other.
type worker struct {
	config Config
	reads  *reads
	wake   async.Signal // holds one token while there may be something to do
	// bufPool are entries with nobody who waits. (A timer and a channel made for
	// each change would cost more than the rest of the way to the database.)
	bufPool sync.Pool

	mu     sync.Mutex // guards what follows
	queue  []*entry   // in the order of their deadlines
	bytes  int
	closed bool
	timer  *time.Timer // refuses what has waited too long
	armed  bool
	// since is when the commit under way began, zero when there is none, and under
	// its entries, nil once they are answered, by the commit or by the timer late.
	since time.Time
	under []*entry
	late  *time.Timer
}

// stalled is after how many times its QueueTimeout a commit is taken to stand still:
// what comes then is refused at once, not after a wait.
const stalled = 2

// entry is one change on its way. It is queued, then either taken by the lane,
// refused by the lane's timer, or abandoned by its sender: the lane's mutex
// decides.
type entry struct {
	change    state.Change
	size      int
	deadline  time.Time // to be taken
	taken     bool      // by the lane or its timer
	abandoned bool
	done      chan struct{} // has one token when outcome and err are set
	outcome   state.Outcome
	err       error
	trace     *trace.Change // nil for most
}

func newLane(c Config, r *reads) *worker {
	l := &worker{config: c, reads: r, wake: async.NewSignal()}
	l.timer = time.AfterFunc(time.Hour, l.refuseLate)
	l.timer.Stop()
	l.late = time.AfterFunc(time.Hour, l.answerLate)
	l.late.Stop()
	return l
}

func (l *worker) entry(c state.Change) *entry {
	e, _ := l.bufPool.Get().(*entry)
	if e == nil {
		e = &entry{done: make(chan struct{}, 1)}
	}
	e.change, e.size = c, 256
	if c.Message != nil {
		e.size += len(c.Message.Content)
	}
	return e
}

// finish gives what became of an entry that is done with.
func (l *worker) finish(e *entry) (state.Outcome, error) {
	outcome, err := e.outcome, e.err
	e.trace.Refused(err)
	*e = entry{done: e.done}
	l.bufPool.Put(e)
	return outcome, err
}

func (l *worker) commit(ctx context.Context, c state.Change) (state.Outcome, error) {
	e := l.entry(c)
	e.trace = l.config.Trace.Queued(ctx, c.ChannelID)
	if err := l.put(e); err != nil {
		l.config.Metrics.Refused.Inc()
		e.err = err
		return l.finish(e)
	}
	select {
	case <-e.done:
		return l.finish(e)
	case <-ctx.Done():
	}
	if l.abandon(e) {
		l.config.Metrics.Refused.Inc()
		e.trace.Refused(errQueueTimeout)
		return state.Outcome{}, errQueueTimeout
	}
	// It is being committed, or was at this moment: then its answer is here.
	select {
	case <-e.done:
		return l.finish(e)
	default:
		return state.Outcome{}, chat.ErrOutcomeUnknown
	}
}

func (l *worker) put(e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errClosed
	case len(l.queue) >= l.config.QueueChanges, l.bytes+e.size > l.config.QueueBytes:
		return errFull
	}
	now := time.Now()
	if !l.since.IsZero() && now.Sub(l.since) > stalled*l.config.QueueTimeout {
		return errQueueTimeout
	}
	e.deadline = now.Add(l.config.QueueTimeout)
	l.queue = append(l.queue, e)
	l.bytes += e.size
	if !l.armed {
		l.armed = true
		l.timer.Reset(l.config.QueueTimeout)
	}
	l.config.Metrics.Queued.Inc()
	l.wake.Notify()
	return nil
}

// refuseLate refuses what the lane has not taken up in time. One timer does for
// all: it is set for the first of the queue, and set again when it comes too early
// for the one that is the first by then.
func (l *worker) refuseLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, n := time.Now(), 0
	for n < len(l.queue) && !l.queue[n].deadline.After(now) {
		e := l.queue[n]
		n++
		l.bytes -= e.size
		if e.abandoned {
			continue
		}
		e.taken, e.err = true, errQueueTimeout
		l.config.Metrics.Refused.Inc()
		e.done <- struct{}{}
	}
	l.drop(n)
	if l.armed = len(l.queue) > 0; l.armed {
		l.timer.Reset(l.queue[0].deadline.Sub(now))
	}
}

// drop takes the first n off the queue.
func (l *worker) drop(n int) {
	rest := copy(l.queue, l.queue[n:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	l.config.Metrics.Queued.Sub(float64(n))
}

// abandon takes the entry back, unless the lane has taken it up.
func (l *worker) abandon(e *entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.taken {
		return false
	}
	e.abandoned = true
	return true
}

// take removes the next group from the queue.
func (l *worker) take() (group []*entry, closed bool) {
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
	l.drop(n)
	return group, l.closed
}

// begin notes that a commit begins. From here on entries may be answered, and used
// again, at any moment.
func (l *worker) begin(group []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.under = time.Now(), group
	l.late.Reset(l.config.AnswerTimeout)
}

// answerLate tells those whose commit takes too long that its fate is unknown: a
// socket waits for its answer before it is read further.
func (l *worker) answerLate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since.IsZero() || time.Since(l.since) < l.config.AnswerTimeout {
		return // it was set for an earlier group
	}
	for _, e := range l.under {
		e.err = chat.ErrOutcomeUnknown
		e.done <- struct{}{}
	}
	l.under = nil
}

// answer ends a commit; each gives an entry what became of it. Those who have been
// answered already are not theirs any more.
func (l *worker) answer(each func(i int, e *entry)) {
	l.mu.Lock()
	group := l.under
	l.since, l.under = time.Time{}, nil
	l.late.Stop()
	l.mu.Unlock()
	for i, e := range group {
		each(i, e)
		e.done <- struct{}{}
	}
}

func (l *worker) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock() // the timer goes on for what is queued
	l.wake.Notify()
}

func (l *worker) run(ctx context.Context) {
	for {
		group, closed := l.take()
		if len(group) > 0 {
			l.commitGroup(ctx, group)
			continue
		}
		if closed {
			l.timer.Stop()
			return
		}
		<-l.wake
	}
}

func (l *worker) commitGroup(ctx context.Context, group []*entry) {
	changes := make([]state.Change, len(group))
	var traced []*trace.Change
	var places []int // of those in the group
	for i, e := range group {
		changes[i] = e.change
		if e.trace != nil {
			traced, places = append(traced, e.trace), append(places, i)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, l.config.CommitTimeout)
	defer cancel()
	start := time.Now()
	ctx, span := l.config.Trace.Group(ctx, "journal group", len(group), traced)
	l.begin(group)
	outcomes, err := l.config.Store.Commit(ctx, changes)
	span.Result(err)
	l.config.Metrics.Group.Observe(float64(len(group)))
	metric.Observe(l.config.Metrics.Commit, time.Since(start).Seconds(), span.ID())
	if err != nil {
		l.config.Log.Error("commit a group of changes", "changes", len(group), "took", time.Since(start), "err", err)
		err = fmt.Errorf("commit a group: %w", err)
		l.markUncertain(changes, func(int) error { return err })
		for _, c := range traced {
			c.Committed(err)
		}
		l.answer(func(_ int, e *entry) { e.err = err })
		return
	}
	// Published before they are answered: the order is this goroutine's order, and
	// telling is only a hand-over to the hub.
	events := make([]chat.Entry, 0, len(group))
	for i := range outcomes {
		if ev := outcomes[i].Entry; ev != nil && outcomes[i].Err == nil {
			events = append(events, *ev)
		}
	}
	if span.On() {
		l.follow(traced, places, outcomes)
	}
	l.config.Publisher.Publish(events)
	l.markUncertain(changes, func(i int) error { return outcomes[i].Err })
	l.reads.later(outcomes)
	l.answer(func(i int, e *entry) { e.outcome = outcomes[i] })
}

// follow notes what became of the changes that are traced, and has the telling of
// what they became traced as well.
func (l *worker) follow(traced []*trace.Change, places []int, outcomes []state.Outcome) {
	for n, c := range traced {
		out := &outcomes[places[n]]
		c.Committed(out.Err)
		if out.Entry != nil && out.Err == nil && l.config.TraceFanout != nil {
			channel, seq := out.Entry.ChannelID, out.Entry.Seq
			l.config.TraceFanout(channel, seq, c.FanOut(channel, seq))
		}
	}
}

// markUncertain names the channels of the changes that may have been committed although
// they ended in an error.
func (l *worker) markUncertain(changes []state.Change, errOf func(i int) error) {
	var channels []chat.ID
	for i := range changes {
		err := errOf(i)
		if err == nil {
			continue
		}
		switch chat.AsError(err).Code {
		case chat.Internal, chat.Unavailable:
			channels = append(channels, changes[i].ChannelID)
		}
	}
	if len(channels) > 0 {
		l.config.Publisher.MarkUncertain(channels)
	}
}
