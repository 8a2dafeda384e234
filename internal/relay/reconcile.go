package relay

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// reconciler asks the database what no other node has told of: entries of channels to
// which somebody listens, memberships, ended access. It makes up for all that the
// relay may lose.
type reconciler struct {
	node *Node
	wake chan struct{}

	mu           sync.Mutex                // guards what follows
	nextPoll     time.Time                 // when the database is asked next
	pending, due newSubscriptions          // subscriptions of which the other nodes may not have heard
	rotateAt     time.Time                 // of young into old; zero when there are none
	presence     bool                      // the watched are to be asked for
	heard        map[model.Revocation]bool // without their numbers: of which the nodes have said so

	// Run's own.
	since   chat.Time // from when on joins are asked for
	seen    map[place]time.Time
	revoked int64          // the newest that is known
	given   map[int64]bool // of those around it
	beat    time.Time
}

// newSubscriptions are channels and users to which this node has just subscribed.
type newSubscriptions struct {
	channels []chat.ID
	users    []chat.UserID
}

func (f *newSubscriptions) empty() bool { return len(f.channels)+len(f.users) == 0 }

type place struct {
	channel chat.ID
	seq     chat.Seq
}

const (
	// settleAfter is how long the other nodes may take to know that somebody listens
	// here to a channel.
	settleAfter = 300 * time.Millisecond
	// hurryLeast keeps looks at the database apart.
	hurryLeast = 200 * time.Millisecond
	// joinsOverlap is by how much the time of an entry may be before its commit, with
	// what clocks may differ.
	joinsOverlap = 20 * time.Second
	// rowBeat is how often a node beats in the database. It is dead to the others
	// after deadLooks of theirs and forgotten after forgetLooks.
	rowBeat      = 5 * time.Second
	rowBeatAlone = 2 * time.Second // so it is soon known that there is another
	forgetLooks  = 20
	healTimeout  = 5 * time.Second
	seenMost     = 100_000 // entries that are remembered as looked at
)

func newHealer(n *Node) *reconciler {
	return &reconciler{node: n, wake: make(chan struct{}, 1), seen: make(map[place]time.Time), given: make(map[int64]bool), heard: make(map[model.Revocation]bool)}
}

// begin is before the first socket: what was before is in what sockets are told
// when they open.
func (h *reconciler) begin(ctx context.Context) (err error) {
	if h.revoked, err = h.node.config.Database.LastRevocation(ctx); err != nil {
		return fmt.Errorf("read the last revocation: %w", err)
	}
	if _, err := h.newRevocations(ctx); err != nil {
		return fmt.Errorf("read the last revocations: %w", err)
	}
	h.since = chat.TimeOf(h.node.config.Now())
	if err := h.beatRow(ctx); err != nil {
		return err
	}
	h.mu.Lock()
	h.nextPoll = time.Now().Add(h.node.config.Heal)
	h.mu.Unlock()
	return nil
}

func (h *reconciler) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// runSoon has the database asked soon.
func (h *reconciler) runSoon() {
	h.mu.Lock()
	if soon := time.Now().Add(hurryLeast); h.nextPoll.After(soon) {
		h.nextPoll = soon
	}
	h.mu.Unlock()
	h.signal()
}

// resync has the nodes asked soon who is online with them.
func (h *reconciler) resync() {
	h.mu.Lock()
	h.presence = true
	h.mu.Unlock()
	h.runSoon()
}

// scheduleCatchUp has the heads of channels read, and asks for users, when the other nodes
// must know that somebody here listens to them or watches them.
func (h *reconciler) scheduleCatchUp(f newSubscriptions) {
	h.mu.Lock()
	h.pending.channels = append(h.pending.channels, f.channels...)
	h.pending.users = append(h.pending.users, f.users...)
	if h.rotateAt.IsZero() {
		h.rotateAt = time.Now().Add(settleAfter)
	}
	h.mu.Unlock()
	h.signal()
}

// settled takes what has waited for settleAfter, and at most twice that.
func (h *reconciler) settled(now time.Time) (f newSubscriptions) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rotateAt.IsZero() || now.Before(h.rotateAt) {
		return f
	}
	f, h.due, h.pending = h.due, h.pending, newSubscriptions{}
	h.rotateAt = now.Add(settleAfter)
	if h.due.empty() {
		h.rotateAt = time.Time{}
	}
	return f
}

// run works until ctx ends.
func (h *reconciler) run(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-h.wake:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		if f := h.settled(now); !f.empty() {
			h.heads(ctx, f.channels)
			h.node.presenceQueries.later(f.users)
		}
		if now.Sub(h.beat) >= h.rowBeat() {
			h.timed(ctx, h.beatRow, "say in the database that this node lives")
		}
		if h.isDue(now) {
			h.look(ctx)
		}
		t.Reset(time.Until(h.next(time.Now())))
	}
}

func (h *reconciler) rowBeat() time.Duration {
	if h.node.peers.isAlone() {
		return rowBeatAlone
	}
	return rowBeat
}

func (h *reconciler) isDue(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !now.Before(h.nextPoll)
}

// next is when there is something to do.
func (h *reconciler) next(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := h.beat.Add(h.rowBeat())
	if h.nextPoll.Before(next) {
		next = h.nextPoll
	}
	if !h.rotateAt.IsZero() && h.rotateAt.Before(next) {
		next = h.rotateAt
	}
	if least := now.Add(10 * time.Millisecond); next.Before(least) {
		return least
	}
	return next
}

// timed does one thing with a deadline.
func (h *reconciler) timed(ctx context.Context, do func(context.Context) error, what string) {
	ctx, cancel := context.WithTimeout(ctx, healTimeout)
	defer cancel()
	err := do(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if code := chat.AsError(err).Code; code == chat.Overloaded || code == chat.Unavailable {
		level = slog.LevelDebug // the store has said so, once
	}
	h.node.config.Log.Log(ctx, level, what, "err", err)
}

// look asks for everything, and then sets the time of the next look.
func (h *reconciler) look(ctx context.Context) {
	n := h.node
	begun := time.Now()
	h.mu.Lock()
	presence := h.presence
	h.presence = false
	// From here on: whoever hurries meanwhile has his own look.
	h.nextPoll = begun.Add(n.config.HealCalm)
	if n.peers.state().Degraded {
		h.nextPoll = begun.Add(n.config.Heal)
	}
	calm := h.nextPoll.Sub(begun) > n.config.Heal
	h.mu.Unlock()
	if n.peers.isAlone() && !presence {
		h.since = chat.TimeOf(n.config.Now())
		return
	}
	h.timed(ctx, h.revocations, "ask the database whose access ended")
	h.timed(ctx, h.everyHead, "ask the database for heads of channels")
	h.timed(ctx, h.joins, "ask the database who became a member")
	if presence || calm {
		n.presenceQueries.later(n.hub.Watched())
	}
	n.config.Metrics.ReconcileDuration.Observe(time.Since(begun).Seconds())
}

func (h *reconciler) everyHead(ctx context.Context) error { return h.ahead(ctx, h.node.hub.Heads()) }

// heads looks at some channels only.
func (h *reconciler) heads(ctx context.Context, ids []chat.ID) {
	if len(ids) == 0 {
		return
	}
	known := h.node.hub.Heads()
	some := make(map[chat.ID]chat.Seq, len(ids))
	for _, id := range ids {
		if seq, is := known[id]; is {
			some[id] = seq
		}
	}
	h.timed(ctx, func(ctx context.Context) error { return h.ahead(ctx, some) }, "ask the database for heads of channels")
}

func (h *reconciler) ahead(ctx context.Context, known map[chat.ID]chat.Seq) error {
	if len(known) == 0 {
		return nil
	}
	heads, err := h.node.config.Database.HeadsBeyond(ctx, known)
	if err != nil {
		return err
	}
	h.node.config.Metrics.Reconciled.WithLabelValues("channels").Add(float64(h.node.hub.ObserveHeads(heads)))
	return nil
}

// joins finds memberships that began elsewhere, of which users with sockets here
// were not told.
func (h *reconciler) joins(ctx context.Context) error {
	now := chat.TimeOf(h.node.config.Now())
	events, err := h.node.config.Database.RecentJoins(ctx, h.since-chat.Time(joinsOverlap.Microseconds()))
	if err != nil {
		return err
	}
	for i := range events {
		ev := &events[i]
		at := place{ev.ChannelID, ev.Seq}
		if _, seen := h.seen[at]; seen {
			continue
		}
		note := joinsNote{Channel: ev.ChannelID, Seq: ev.Seq, Users: ev.JoinedUsers()}
		if !h.node.hub.HasListeners(ev.ChannelID) && len(h.node.hub.Connected(note.Users)) > 0 {
			h.node.config.Metrics.Reconciled.WithLabelValues("memberships").Inc()
		}
		if len(h.node.hub.Connected(note.Users)) > 0 {
			if err := h.node.admit(ctx, note); err != nil {
				return err
			}
		}
		if len(h.seen) >= seenMost {
			clear(h.seen) // looked at twice they do no harm
		}
		h.seen[at] = time.Now()
	}
	h.since = now
	for at, when := range h.seen {
		if time.Since(when) > h.node.config.HealCalm+2*joinsOverlap {
			delete(h.seen, at)
		}
	}
	return nil
}

// beatRow says in the database that this node lives, and sees who else does.
func (h *reconciler) beatRow(ctx context.Context) error {
	h.beat = time.Now()
	n := h.node
	beats, err := n.config.Database.Heartbeat(ctx, n.id, n.config.Version)
	if err != nil {
		return fmt.Errorf("beat in the database: %w", err)
	}
	for id, last := range n.peers.setNodeRows(beats) {
		if err := n.config.Database.ForgetNode(ctx, id, last); err != nil {
			return fmt.Errorf("forget a node that is dead: %w", err)
		}
	}
	if n.unlinked { // otherwise peers looks by itself, once others had time to be heard
		n.peers.look(time.Now())
	}
	return nil
}
