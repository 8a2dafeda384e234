package relay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// reconciler polls the database for what no other node has sent: entries of channels
// with listeners here, memberships, ended access. It makes up for everything that the
// relay may lose.
type reconciler struct {
	env
	interval, calmInterval time.Duration
	heads                  *heads
	sources                []source
	joins                  interface{ skip() }
	peers                  peerStatus
	hub                    interface{ Watched() []chat.UserID }
	askPresence            func([]chat.UserID) // asks the other nodes for users
	wake                   async.Signal

	mu              sync.Mutex // guards what follows
	nextPoll        time.Time
	refreshPresence bool // ask for the watched users in the next poll
	settling        settling
}

// source is something to poll.
type source struct {
	what string // for the log: a verb phrase
	poll func(context.Context) error
}

// peerStatus is what the reconciler must know of the other nodes.
type peerStatus interface {
	isAlone() bool
	lastState() State
}

const (
	// minPollDelay is the time from a call of pollSoon to the poll: it keeps polls apart.
	minPollDelay = 200 * time.Millisecond
	// minWait keeps run from spinning.
	minWait = 10 * time.Millisecond
)

// begin sets the time of the first poll.
func (r *reconciler) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nextPoll = r.now().Add(r.interval)
}

// pollSoon has the database polled soon.
func (r *reconciler) pollSoon() {
	r.mu.Lock()
	if soon := r.now().Add(minPollDelay); r.nextPoll.After(soon) {
		r.nextPoll = soon
	}
	r.mu.Unlock()
	r.wake.Notify()
}

// pollPresence has all nodes asked soon which of the watched users are online.
func (r *reconciler) pollPresence() {
	r.mu.Lock()
	r.refreshPresence = true
	r.mu.Unlock()
	r.pollSoon()
}

// scheduleCatchUp has the heads of channels read and the presence of users asked for, once
// the other nodes must know that this one has subscribed to them.
func (r *reconciler) scheduleCatchUp(added newSubscriptions) {
	r.mu.Lock()
	r.settling.add(added, r.now())
	r.mu.Unlock()
	r.wake.Notify()
}

// run works until ctx ends.
func (r *reconciler) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-r.wake:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		now := r.now()
		settled := r.settling.take(now)
		due := !now.Before(r.nextPoll)
		r.mu.Unlock()
		r.catchUp(ctx, settled)
		if due {
			r.poll(ctx)
		}
		t.Reset(r.untilNext())
	}
}

// untilNext returns the time until there is something to do.
func (r *reconciler) untilNext() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.nextPoll
	if at := r.settling.rotateAt; !at.IsZero() && at.Before(next) {
		next = at
	}
	return max(next.Sub(r.now()), minWait)
}

// catchUp reads what was sent to new subscriptions before the other nodes knew of them.
func (r *reconciler) catchUp(ctx context.Context, added newSubscriptions) {
	if len(added.channels) > 0 {
		attempt(ctx, r.log, pollHeads, func(ctx context.Context) error { return r.heads.pollSome(ctx, added.channels) })
	}
	if len(added.users) > 0 {
		r.askPresence(added.users)
	}
}

// poll polls all sources.
func (r *reconciler) poll(ctx context.Context) {
	begun := r.now()
	presence, calm := r.scheduleNext(begun)
	if r.peers.isAlone() && !presence {
		r.joins.skip()
		return
	}
	for _, s := range r.sources {
		attempt(ctx, r.log, s.what, s.poll)
	}
	if presence || calm {
		r.askPresence(r.hub.Watched())
	}
	r.metrics.ReconcileDuration.Observe(r.now().Sub(begun).Seconds())
}

// scheduleNext sets the time of the next poll before this one begins, so that a pollSoon
// in between has a poll of its own. It reports whether this poll includes presence, and
// whether the next one is only due after the calm interval.
func (r *reconciler) scheduleNext(now time.Time) (presence, calm bool) {
	wait := r.calmInterval
	if r.peers.lastState().Degraded {
		wait = r.interval
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	presence, r.refreshPresence = r.refreshPresence, false
	r.nextPoll = now.Add(wait)
	return presence, wait > r.interval
}

// attempt calls do with databaseTimeout, and logs an error.
func attempt(ctx context.Context, log *slog.Logger, what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	err := do(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if code := chat.AsError(err).Code; code == chat.Overloaded || code == chat.Unavailable {
		level = slog.LevelDebug // the store has logged it, once
	}
	log.Log(ctx, level, what, "err", err)
}

// heads reads the heads of channels with listeners here from the database.
type heads struct {
	env
	hub headHub
	db  headDatabase
}

const pollHeads = "poll the database for heads of channels"

// poll reads the heads of all channels.
func (h *heads) poll(ctx context.Context) error { return h.observe(ctx, h.hub.Heads()) }

// pollSome reads the heads of some channels.
func (h *heads) pollSome(ctx context.Context, ids []chat.ID) error {
	all := h.hub.Heads()
	known := make(map[chat.ID]chat.Seq, len(ids))
	for _, id := range ids {
		if seq, is := all[id]; is {
			known[id] = seq
		}
	}
	return h.observe(ctx, known)
}

// observe passes the hub the heads that are beyond known.
func (h *heads) observe(ctx context.Context, known map[chat.ID]chat.Seq) error {
	if len(known) == 0 {
		return nil
	}
	beyond, err := h.db.HeadsBeyond(ctx, known)
	if err != nil {
		return err
	}
	h.metrics.Reconciled.WithLabelValues("channels").Add(float64(h.hub.ObserveHeads(beyond)))
	return nil
}

// settling holds new subscriptions until the other nodes must know of them.
type settling struct {
	pending, due newSubscriptions
	rotateAt     time.Time // when pending becomes due; zero when there are none
}

// settleDelay is how long it may take until the other nodes know of a subscription. A
// subscription settles for that long at least, and for twice that at most.
const settleDelay = 300 * time.Millisecond

func (s *settling) add(added newSubscriptions, now time.Time) {
	s.pending.channels = append(s.pending.channels, added.channels...)
	s.pending.users = append(s.pending.users, added.users...)
	if s.rotateAt.IsZero() {
		s.rotateAt = now.Add(settleDelay)
	}
}

// take returns the subscriptions that have settled.
func (s *settling) take(now time.Time) (settled newSubscriptions) {
	if s.rotateAt.IsZero() || now.Before(s.rotateAt) {
		return settled
	}
	settled, s.due, s.pending = s.due, s.pending, newSubscriptions{}
	s.rotateAt = now.Add(settleDelay)
	if s.due.empty() {
		s.rotateAt = time.Time{}
	}
	return settled
}
