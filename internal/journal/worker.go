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

// worker commits the changes of its channels, one group after the other.
type worker struct {
	config Config
	reads  *reads
	wake   async.Signal
	queue  queue

	mu sync.Mutex // guards what follows, and queue
	// committing is the group under way. It is nil once its senders are answered, by the
	// commit or by lateTimer. since is when the commit began, zero when there is none.
	committing []*pending
	since      time.Time
	lateTimer  *time.Timer
}

func newWorker(c Config, r *reads) *worker {
	w := &worker{config: c, reads: r, wake: async.NewSignal()}
	w.queue.timer = time.AfterFunc(time.Hour, w.refuseLate)
	w.queue.timer.Stop()
	w.lateTimer = time.AfterFunc(time.Hour, w.answerLate)
	w.lateTimer.Stop()
	return w
}

// commit waits for the outcome of a change.
func (w *worker) commit(ctx context.Context, c state.Change) (state.Outcome, error) {
	p := w.queue.newPending(c)
	p.trace = w.config.Trace.Queued(ctx, c.ChannelID)
	if err := w.enqueue(p); err != nil {
		w.config.Metrics.Refused.Inc()
		p.err = err
		return w.queue.release(p)
	}
	select {
	case <-p.done:
		return w.queue.release(p)
	case <-ctx.Done():
	}
	if w.abandon(p) {
		w.config.Metrics.Refused.Inc()
		p.trace.Refused(errBusy)
		return state.Outcome{}, errBusy
	}
	// It is being committed. If the commit has just ended, the outcome is here.
	select {
	case <-p.done:
		return w.queue.release(p)
	default:
		return state.Outcome{}, chat.ErrOutcomeUnknown
	}
}

// abandon gives the change up, unless it has left the queue.
func (w *worker) abandon(p *pending) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.taken {
		return false
	}
	p.abandoned = true
	return true
}

func (w *worker) close() {
	w.mu.Lock()
	w.queue.closed = true
	w.mu.Unlock() // the timer keeps running for what is queued
	w.wake.Notify()
}

func (w *worker) run(ctx context.Context) {
	for {
		group, closed := w.take()
		if len(group) > 0 {
			w.commitGroup(ctx, group)
			continue
		}
		if closed {
			w.queue.timer.Stop()
			return
		}
		<-w.wake
	}
}

// begin marks that a commit begins. From here on the senders may be answered, and their
// pending reused, at any moment.
func (w *worker) begin(group []*pending) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.since, w.committing = time.Now(), group
	w.lateTimer.Reset(w.config.AnswerTimeout)
}

// answerLate reports an unknown outcome when a commit takes too long: nothing more is read from
// a socket before its command is answered.
func (w *worker) answerLate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || time.Since(w.since) < w.config.AnswerTimeout {
		return // the timer was set for an earlier group
	}
	for _, p := range w.committing {
		p.err = chat.ErrOutcomeUnknown
		p.done <- struct{}{}
	}
	w.committing = nil
}

// answer ends a commit. each sets a sender's outcome. Senders that answerLate has answered
// are skipped: their pending may be in use for another change.
func (w *worker) answer(each func(i int, p *pending)) {
	w.mu.Lock()
	group := w.committing
	w.since, w.committing = time.Time{}, nil
	w.lateTimer.Stop()
	w.mu.Unlock()
	for i, p := range group {
		each(i, p)
		p.done <- struct{}{}
	}
}

// group is what commitGroup keeps of a group, since the pending changes may be reused.
type group struct {
	changes []state.Change
	traced  []*trace.Change
	places  []int // of the traced changes, in changes
}

func newGroup(all []*pending) group {
	g := group{changes: make([]state.Change, len(all))}
	for i, p := range all {
		g.changes[i] = p.change
		if p.trace != nil {
			g.traced, g.places = append(g.traced, p.trace), append(g.places, i)
		}
	}
	return g
}

func (w *worker) commitGroup(ctx context.Context, all []*pending) {
	g := newGroup(all)
	ctx, cancel := context.WithTimeout(ctx, w.config.CommitTimeout)
	defer cancel()
	start := time.Now()
	ctx, span := w.config.Trace.Group(ctx, "journal group", len(all), g.traced)
	w.begin(all)
	outcomes, err := w.config.Store.Commit(ctx, g.changes)
	span.Result(err)
	w.config.Metrics.Group.Observe(float64(len(all)))
	metric.Observe(w.config.Metrics.Commit, time.Since(start).Seconds(), span.ID())
	if err != nil {
		w.config.Log.Error("commit a group of changes", "changes", len(all), "took", time.Since(start), "err", err)
		w.failed(&g, fmt.Errorf("commit a group: %w", err))
		return
	}
	if span.On() {
		w.traceOutcomes(&g, outcomes)
	}
	// Entries are published before the senders are answered: this goroutine's order is the
	// order of the commits, and publishing only hands the entries to the hub.
	w.config.Publisher.Publish(entriesOf(outcomes))
	w.markUncertain(g.changes, func(i int) error { return outcomes[i].Err })
	w.reads.delayOwn(outcomes)
	w.answer(func(i int, p *pending) { p.outcome = outcomes[i] })
}

// failed ends a group that was not committed, or of unknown outcome.
func (w *worker) failed(g *group, err error) {
	w.markUncertain(g.changes, func(int) error { return err })
	for _, c := range g.traced {
		c.Committed(err)
	}
	w.answer(func(_ int, p *pending) { p.err = err })
}

func entriesOf(outcomes []state.Outcome) []chat.Entry {
	entries := make([]chat.Entry, 0, len(outcomes))
	for i := range outcomes {
		if e := outcomes[i].Entry; e != nil && outcomes[i].Err == nil {
			entries = append(entries, *e)
		}
	}
	return entries
}

// traceOutcomes ends the spans of the traced changes and begins those of their fan-outs.
func (w *worker) traceOutcomes(g *group, outcomes []state.Outcome) {
	for n, c := range g.traced {
		out := &outcomes[g.places[n]]
		c.Committed(out.Err)
		if out.Entry != nil && out.Err == nil && w.config.TraceFanout != nil {
			channel, seq := out.Entry.ChannelID, out.Entry.Seq
			w.config.TraceFanout(channel, seq, c.FanOut(channel, seq))
		}
	}
}

// markUncertain reports the channels of the changes that may have been committed although
// they ended in an error.
func (w *worker) markUncertain(changes []state.Change, errOf func(i int) error) {
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
		w.config.Publisher.MarkUncertain(channels)
	}
}
