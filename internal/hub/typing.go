package hub

import (
	"context"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// Typing notifies the channel's listeners that a user types or has stopped, except
// for the user's own sockets.
func (h *Hub) Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	h.typing.note(typist{channel, user}, isTyping)
	h.publishTyping(channel, user, isTyping, at)
	h.config.Relay.Typing(channel, user, isTyping, at)
}

// typingExpired notifies the listeners on this node. The other nodes have timeouts of
// their own.
func (h *Hub) typingExpired(who typist) {
	h.publishTyping(who.channel, who.user, false, chat.TimeOf(h.config.Now()))
}

func (h *Hub) publishTyping(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	frame := chat.TypingFrame{
		Type: chat.EventTyping, ChannelID: channel, UserID: user, IsTyping: isTyping, Timestamp: at,
	}
	h.publishTransient(channel, transient{kind: frame.Type, user: user, skipUser: true, frame: encodeFrame(frame)})
}

// PublishReadReceipt notifies the channel's listeners how far a user has read.
func (h *Hub) PublishReadReceipt(r chat.ReadReceiptFrame) {
	h.publishReceipt(r)
	h.config.Relay.PublishReadReceipt(r)
}

func (h *Hub) publishReceipt(r chat.ReadReceiptFrame) {
	h.publishTransient(r.ChannelID, transient{kind: chat.EventReadReceipt, user: r.UserID, frame: encodeFrame(r)})
}

func (h *Hub) publishTransient(id chat.ID, t transient) {
	if ch := h.lookup(id); ch != nil {
		ch.enqueueTransient(t)
		h.scheduleFanout(ch)
	}
}

const (
	// typingTimeout is how long a user counts as typing after the last event: their
	// page may be gone, or they may have walked away.
	typingTimeout = 10 * time.Second
	// maxTypists bounds the users in a typingTracker. The typing of others does not
	// expire by itself.
	maxTypists = 100_000
	// typingSweepInterval is how often the tracker looks for expired typing.
	typingSweepInterval = time.Second
)

type typist struct {
	channel chat.ID
	user    chat.UserID
}

// typingTracker remembers who is typing, and reports when they have stopped without an
// event.
type typingTracker struct {
	now     func() time.Time
	expired func(typist)
	wake    async.Signal

	mu    sync.Mutex // guards what follows
	until map[typist]time.Time
}

func newTypingTracker(now func() time.Time, expired func(typist)) *typingTracker {
	return &typingTracker{
		now: now, expired: expired, wake: async.NewSignal(), until: make(map[typist]time.Time),
	}
}

func (t *typingTracker) note(who typist, isTyping bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isTyping {
		delete(t.until, who)
		return
	}
	if _, known := t.until[who]; !known && len(t.until) >= maxTypists {
		return
	}
	t.until[who] = t.now().Add(typingTimeout)
	t.wake.Notify()
}

// run sweeps until ctx ends. While no one types it waits without a timer.
func (t *typingTracker) run(ctx context.Context) {
	for t.wake.Wait(ctx) {
		for more := true; more && async.Sleep(ctx, typingSweepInterval); {
			more = t.sweep()
		}
	}
}

// sweep reports the typists whose time is over, and returns whether others are left.
func (t *typingTracker) sweep() (more bool) {
	now := t.now()
	t.mu.Lock()
	var over []typist
	for who, until := range t.until {
		if !now.Before(until) {
			over = append(over, who)
			delete(t.until, who)
		}
	}
	more = len(t.until) > 0
	t.mu.Unlock()
	for _, who := range over {
		t.expired(who)
	}
	return more
}
