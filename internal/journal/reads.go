package journal

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/trace"
)

// maxLater bounds the read cursors of sends that stay in memory. Beyond it the
// newest are forgotten: a sender's own message then counts as unread until he
// reads or sends again.
const maxLater = 16384

// delayedGroup bounds a group of delayed read cursors. Nobody waits for them:
// small groups, spread over the delay, keep out of the way of those who do wait for
// the database.
const delayedGroup = 128

// reads is the lane of read cursors. What a reader waits for is committed as soon
// as the last group is done; what a sender has read by sending is kept a moment,
// since the next send replaces it.
type reads struct {
	config Config
	wake   async.Signal
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards what follows
	now     []*readEntry
	delayed map[chat.UserID]map[chat.ID]state.Read
	count   int  // of delayed
	due     bool // delayed ones have waited long enough
	timer   *time.Timer
	closed  bool
}

type readEntry struct {
	read    state.Read
	done    chan struct{}
	outcome state.ReadResult
	err     error
	trace   *trace.Change // nil for most
}

func newReads(c Config) *reads {
	ctx, cancel := context.WithCancel(context.Background())
	r := &reads{
		config: c, wake: async.NewSignal(), cancel: cancel, done: make(chan struct{}),
		delayed: make(map[chat.UserID]map[chat.ID]state.Read),
	}
	r.timer = time.AfterFunc(time.Hour, r.delayOver)
	r.timer.Stop()
	go r.run(ctx) // ends when close has emptied it
	return r
}

func (r *reads) delayOver() {
	r.mu.Lock()
	r.due = true
	r.mu.Unlock()
	r.wake.Notify()
}

func (r *reads) commit(ctx context.Context, read state.Read) (state.ReadResult, error) {
	e := &readEntry{read: read, done: make(chan struct{}), trace: r.config.Trace.Queued(ctx, read.ChannelID)}
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		e.trace.Refused(errClosed)
		return state.ReadResult{}, errClosed
	case len(r.now) >= r.config.QueueChanges:
		r.mu.Unlock()
		e.trace.Refused(errFull)
		return state.ReadResult{}, errFull
	}
	r.now = append(r.now, e)
	r.mu.Unlock()
	r.wake.Notify()
	ctx, cancel := context.WithTimeout(ctx, r.config.QueueTimeout+r.config.AnswerTimeout)
	defer cancel()
	select {
	case <-e.done:
		return e.outcome, e.err
	case <-ctx.Done():
		// A cursor only moves forward: it does no harm if it is committed yet.
		return state.ReadResult{}, chat.ErrOutcomeUnknown
	}
}

// later notes that whoever sends has read up to his own message, to be committed
// within ReadDelay. A duplicate may be a message whose first answer never came.
func (r *reads) later(outcomes []state.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range outcomes {
		out := &outcomes[i]
		if out.Err == nil && out.Entry != nil && out.Entry.Type == chat.EventMessage && out.Message != nil {
			r.delay(out.Message)
		}
	}
}

func (r *reads) delay(m *chat.Message) {
	mine := r.delayed[m.UserID]
	old, known := mine[m.ChannelID]
	if !known {
		if r.count >= maxLater {
			return
		}
		if r.count++; r.count == 1 {
			r.timer.Reset(r.config.ReadDelay)
		}
	}
	if mine == nil {
		mine = make(map[chat.ID]state.Read, 1)
		r.delayed[m.UserID] = mine
	}
	if m.Seq > old.Seq {
		mine[m.ChannelID] = state.Read{ChannelID: m.ChannelID, UserID: m.UserID, Seq: m.Seq, Ordinal: m.Ordinal, At: m.CreatedAt}
	}
}

// settle commits the user's delayed cursors now and waits for them.
func (r *reads) settle(ctx context.Context, user chat.UserID) error {
	r.mu.Lock()
	var mine []*readEntry
	for _, read := range r.delayed[user] {
		e := &readEntry{read: read, done: make(chan struct{})}
		mine = append(mine, e)
	}
	r.count -= len(mine)
	delete(r.delayed, user)
	r.now = append(r.now, mine...)
	r.mu.Unlock()
	if len(mine) == 0 {
		return nil
	}
	r.wake.Notify()
	for _, e := range mine {
		select {
		case <-e.done:
			if e.err != nil {
				return e.err
			}
		case <-ctx.Done():
			return chat.ErrOutcomeUnknown
		}
	}
	return nil
}

type readKey struct {
	channel chat.ID
	user    chat.UserID
}

// take removes the next group: first what somebody waits for, then, when their
// delay is over, the delayed ones. A cursor occurs once in a group.
func (r *reads) take() (group []*readEntry, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := make(map[readKey]bool)
	var rest []*readEntry
	for _, e := range r.now {
		k := readKey{e.read.ChannelID, e.read.UserID}
		if len(group) == r.config.GroupSize || in[k] {
			rest = append(rest, e)
			continue
		}
		in[k] = true
		group = append(group, e)
	}
	r.now = rest
	if r.due || r.closed {
		group = r.takeDelayed(group, in)
	}
	return group, r.closed && len(r.now) == 0 && r.count == 0
}

// takeDelayed adds a group of delayed cursors, and sets the timer for the next: as
// many groups as there are take ReadDelay together.
func (r *reads) takeDelayed(group []*readEntry, in map[readKey]bool) []*readEntry {
	defer func() {
		r.due = false
		if r.count > 0 {
			r.timer.Reset(r.config.ReadDelay / time.Duration(1+r.count/delayedGroup))
		}
	}()
	for user, mine := range r.delayed {
		for channel, read := range mine {
			if len(group) >= min(r.config.GroupSize, delayedGroup) {
				return group
			}
			if in[readKey{channel, user}] {
				continue
			}
			group = append(group, &readEntry{read: read, done: make(chan struct{})})
			delete(mine, channel)
			r.count--
		}
		if len(mine) == 0 {
			delete(r.delayed, user)
		}
	}
	return group
}

func (r *reads) run(ctx context.Context) {
	defer close(r.done)
	for {
		group, closed := r.take()
		if len(group) > 0 {
			r.commitGroup(ctx, group)
			continue
		}
		if closed {
			return
		}
		<-r.wake
	}
}

func (r *reads) commitGroup(ctx context.Context, group []*readEntry) {
	asked := make([]state.Read, len(group))
	var traced []*trace.Change
	for i, e := range group {
		asked[i] = e.read
		if e.trace != nil {
			traced = append(traced, e.trace)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.CommitTimeout)
	defer cancel()
	ctx, span := r.config.Trace.Group(ctx, "journal group of reads", len(group), traced)
	outcomes, err := r.config.Store.CommitReads(ctx, asked)
	span.Result(err)
	r.config.Metrics.ReadGroup.Observe(float64(len(group)))
	if err != nil {
		r.config.Log.Error("commit a group of read cursors", "reads", len(group), "err", err)
		err = fmt.Errorf("commit read cursors: %w", err)
	}
	for i, e := range group {
		if e.err = err; err == nil {
			e.outcome = outcomes[i]
		}
		e.trace.Committed(cmp.Or(err, e.outcome.Err))
		close(e.done)
	}
}

// close commits what there is and waits.
func (r *reads) close() {
	r.mu.Lock()
	r.closed = true
	r.timer.Stop()
	r.mu.Unlock()
	r.wake.Notify()
	<-r.done
	r.cancel()
}

// abort lets the commits under way fail.
func (r *reads) abort() { r.cancel() }
