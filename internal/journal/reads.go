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

// maxDelayed bounds the read cursors of senders that stay in memory. Beyond it the newest are
// dropped: the sender's own message then counts as unread until they read or send again.
const maxDelayed = 16384

// maxDelayedGroup bounds a group of delayed read cursors. Nothing waits for them: small groups,
// spread over the delay, leave the database to those who do wait.
const maxDelayedGroup = 128

// reads is the worker for read cursors. A cursor that a reader waits for is committed as soon
// as the last group is done. The cursor of a sender is kept for a moment, because the next
// send replaces it.
type reads struct {
	config Config
	wake   async.Signal
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards what follows
	queue   []*pendingRead
	delayed map[chat.UserID]map[chat.ID]state.Read
	count   int  // of delayed
	due     bool // the delay is over
	timer   *time.Timer
	closed  bool
}

type pendingRead struct {
	read   state.Read
	done   chan struct{}
	result state.ReadResult
	err    error
	trace  *trace.Change // nil for most
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

// commit waits for the result of a read.
func (r *reads) commit(ctx context.Context, read state.Read) (state.ReadResult, error) {
	p := &pendingRead{read: read, done: make(chan struct{}), trace: r.config.Trace.Queued(ctx, read.ChannelID)}
	r.mu.Lock()
	switch {
	case r.closed:
		r.mu.Unlock()
		p.trace.Refused(errClosed)
		return state.ReadResult{}, errClosed
	case len(r.queue) >= r.config.QueueChanges:
		r.mu.Unlock()
		p.trace.Refused(errBusy)
		return state.ReadResult{}, errBusy
	}
	r.queue = append(r.queue, p)
	r.mu.Unlock()
	r.wake.Notify()
	ctx, cancel := context.WithTimeout(ctx, r.config.QueueTimeout+r.config.AnswerTimeout)
	defer cancel()
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		// A cursor only moves forward, so it does no harm if it is committed later.
		return state.ReadResult{}, chat.ErrOutcomeUnknown
	}
}

// delayOwn moves the cursors of senders to their own messages, to be committed within
// ReadDelay. A duplicate counts too: its first answer may have been lost.
func (r *reads) delayOwn(outcomes []state.Outcome) {
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
		if r.count >= maxDelayed {
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
		mine[m.ChannelID] = state.Read{
			ChannelID: m.ChannelID, UserID: m.UserID, Seq: m.Seq, Ordinal: m.Ordinal, At: m.CreatedAt,
		}
	}
}

// flush commits the user's delayed cursors now and waits for that.
func (r *reads) flush(ctx context.Context, user chat.UserID) error {
	r.mu.Lock()
	var mine []*pendingRead
	for _, read := range r.delayed[user] {
		mine = append(mine, &pendingRead{read: read, done: make(chan struct{})})
	}
	r.count -= len(mine)
	delete(r.delayed, user)
	r.queue = append(r.queue, mine...)
	r.mu.Unlock()
	if len(mine) == 0 {
		return nil
	}
	r.wake.Notify()
	for _, p := range mine {
		select {
		case <-p.done:
			if p.err != nil {
				return p.err
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

// take removes the next group: first the cursors that a reader waits for, and then, when
// their delay is over, delayed ones. A group has each cursor once.
func (r *reads) take() (group []*pendingRead, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := make(map[readKey]bool)
	var rest []*pendingRead
	for _, p := range r.queue {
		k := readKey{p.read.ChannelID, p.read.UserID}
		if len(group) == r.config.GroupSize || in[k] {
			rest = append(rest, p)
			continue
		}
		in[k] = true
		group = append(group, p)
	}
	r.queue = rest
	if r.due || r.closed {
		group = r.takeDelayed(group, in)
	}
	return group, r.closed && len(r.queue) == 0 && r.count == 0
}

// takeDelayed adds delayed cursors to a group and sets the timer for the next group: however
// many groups there are, all of them together take about ReadDelay.
func (r *reads) takeDelayed(group []*pendingRead, in map[readKey]bool) []*pendingRead {
	defer func() {
		r.due = false
		if r.count > 0 {
			r.timer.Reset(r.config.ReadDelay / time.Duration(1+r.count/maxDelayedGroup))
		}
	}()
	for user, mine := range r.delayed {
		for channel, read := range mine {
			if len(group) >= min(r.config.GroupSize, maxDelayedGroup) {
				return group
			}
			if in[readKey{channel, user}] {
				continue
			}
			group = append(group, &pendingRead{read: read, done: make(chan struct{})})
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

func (r *reads) commitGroup(ctx context.Context, group []*pendingRead) {
	all := make([]state.Read, len(group))
	var traced []*trace.Change
	for i, p := range group {
		all[i] = p.read
		if p.trace != nil {
			traced = append(traced, p.trace)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.CommitTimeout)
	defer cancel()
	ctx, span := r.config.Trace.Group(ctx, "journal group of reads", len(group), traced)
	results, err := r.config.Store.CommitReads(ctx, all)
	span.Result(err)
	r.config.Metrics.ReadGroup.Observe(float64(len(group)))
	if err != nil {
		r.config.Log.Error("commit a group of read cursors", "reads", len(group), "err", err)
		err = fmt.Errorf("commit read cursors: %w", err)
	}
	for i, p := range group {
		if p.err = err; err == nil {
			p.result = results[i]
		}
		p.trace.Committed(cmp.Or(err, p.result.Err))
		close(p.done)
	}
}

// close commits what is left and waits for that.
func (r *reads) close() {
	r.mu.Lock()
	r.closed = true
	r.timer.Stop()
	r.mu.Unlock()
	r.wake.Notify()
	<-r.done
	r.cancel()
}

// abort makes the commits under way fail.
func (r *reads) abort() { r.cancel() }
