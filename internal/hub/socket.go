package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
)

// Conn is a connection that the hub writes to.
type Conn interface {
	// Write sends b, which must not be changed afterwards, and never blocks. While a
	// part of an earlier write waits for the peer, it sends nothing and reports
	// false; the owner calls Socket.Writable when that part has been sent.
	Write(b []byte) bool
	// Backlogged reports whether a part of a write waits for the peer.
	Backlogged() bool
}

// Socket is one client's WebSocket as the hub sees it.
type Socket struct {
	hub   *Hub
	conn  Conn
	user  *user
	extra *socketExtra // nil while there is none; never nil for a legacy page

	mu    sync.Mutex // guards what follows, and extra
	block compact.Block[subscription, socketFlags]

	self user // memory for the user; used by the user's first socket
}

// socketExtra is what few sockets have.
type socketExtra struct {
	shown    atomic.Pointer[channel] // the channel that a legacy page shows
	overflow []*subscription         // those that are not in the block
	watches  *watchList              // nil while the socket watches no one
}

// ensureExtra returns the socket's extra, which it allocates if there is none.
// Called with mu held.
func (s *Socket) ensureExtra() *socketExtra {
	if s.extra == nil {
		s.extra = new(socketExtra)
	}
	return s.extra
}

// watches returns the users that the socket watches, nil for none. Called with mu
// held.
func (s *Socket) watches() *watchList {
	if s.extra == nil {
		return nil
	}
	return s.extra.watches
}

// Deflate has the socket sent compressed frames. It is called before Open.
func (s *Socket) Deflate() { s.block.Flags.deflate = true }

// Deflates reports whether Deflate was called.
func (s *Socket) Deflates() bool { return s.block.Flags.deflate }

// ErrTooManySockets refuses a user who has the maximum number of sockets.
var ErrTooManySockets = &chat.Error{
	Code: chat.RateLimited,
	Message: "You have too many connections open. " +
		"Close some, or wait until the server notices that they are gone.",
	RetryAfter: 5 * time.Second,
}

// User returns the id of the socket's user.
func (s *Socket) User() chat.UserID { return s.user.id }

// SocketCount returns the number of sockets that a user has on this node.
func (h *Hub) SocketCount(id chat.UserID) int {
	u := h.lookupUser(id)
	if u == nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.socketCount()
}

// Attach subscribes a new socket to all of the user's channels as of the channel
// states that it returns. Nothing is written before Open. A user who has maxSockets
// sockets is refused; 0 is unlimited. legacyPage is set for a page of the
// system that chowk replaced.
func (h *Hub) Attach(
	ctx context.Context, conn Conn, id chat.UserID, maxSockets int, legacyPage bool,
) (*Socket, []chat.ChannelState, error) {
	s := new(Socket)
	states, err := h.AttachTo(ctx, s, conn, id, maxSockets, legacyPage)
	if err != nil {
		return nil, nil, err
	}
	return s, states, nil
}

// AttachTo is Attach for a Socket that is a field of another struct.
func (h *Hub) AttachTo(
	ctx context.Context, s *Socket, conn Conn, id chat.UserID, maxSockets int, legacyPage bool,
) ([]chat.ChannelState, error) {
	s.hub, s.conn, s.block.Flags.legacyPage = h, conn, legacyPage
	if legacyPage {
		s.extra = new(socketExtra)
	}
	// The socket is registered before the channel states are read: a membership that
	// begins in between is then noticed by one or the other.
	if !h.addSocket(s, id, maxSockets) {
		return nil, ErrTooManySockets
	}
	states, err := h.config.Store.ChannelStates(ctx, id)
	if err == nil {
		err = h.subscribeAll(ctx, s, states)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return states, nil
}

// subscribeAll subscribes the socket to channels, and reads the heads of those that
// had no listeners before.
func (h *Hub) subscribeAll(ctx context.Context, s *Socket, states []chat.ChannelState) error {
	s.allocate(len(states))
	var unknown []*channel
	for _, state := range states {
		ch, headKnown := h.subscribeAtHead(s, state)
		if !headKnown {
			unknown = append(unknown, ch)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	ids := make([]chat.ID, len(unknown))
	for i, ch := range unknown {
		ids[i] = ch.id
	}
	// An entry that was committed after the states were read and before the channel
	// was known here reached no listener. The head that is read now includes it.
	heads, err := h.config.Store.Heads(ctx, ids)
	if err != nil {
		return err
	}
	for _, ch := range unknown {
		ch.observeHead(heads[ch.id])
		h.scheduleFanout(ch)
	}
	return nil
}

// subscribeAtHead subscribes the socket to a channel from its head on, and reports
// whether the hub knows the head.
func (h *Hub) subscribeAtHead(s *Socket, state chat.ChannelState) (ch *channel, headKnown bool) {
	h.withChannel(state.ID, func(live *channel) {
		ch, headKnown = live, live.headKnown
		if sub := live.add(s, state.LastSeq, state.JoinedSeq, opening); sub != nil && sub.State() == opening {
			sub.SetSeq(state.LastSeq)
		}
	})
	return ch, headKnown
}

// Open begins to serve a socket that has been sent its connection frame.
func (s *Socket) Open() {
	s.mu.Lock()
	s.block.Flags.open = true
	s.mu.Unlock()
	fellBehind := false
	for _, sub := range s.subscriptions() {
		ch := sub.channel
		ch.mu.Lock()
		if sub.State() == opening {
			sub.SetState(behind)
			if ch.headKnown && sub.Seq() >= ch.head {
				sub.SetState(live)
			}
		}
		fellBehind = fellBehind || sub.State() == behind
		ch.mu.Unlock()
	}
	s.user.opened(s.hub)
	if fellBehind {
		s.hub.behind.put(s)
	}
}

// Writable is called when the part of a write that waited for the peer has been
// sent.
func (s *Socket) Writable() { s.hub.behind.put(s) }

// Close removes the socket from its channels and its user. It may be called more
// than once.
func (s *Socket) Close() {
	s.mu.Lock()
	if s.block.Flags.closed {
		s.mu.Unlock()
		return
	}
	s.block.Flags.closed = true // so that no subscription is added from here on
	watched := s.watches()
	if s.extra != nil {
		s.extra.watches = nil
	}
	s.mu.Unlock()
	for _, sub := range s.subscriptions() {
		ch := sub.channel
		ch.mu.Lock()
		ch.remove(sub)
		empty := ch.listeners.Len() == 0
		ch.mu.Unlock()
		if empty {
			s.hub.evict(ch)
		}
	}
	s.mu.Lock()
	s.block.Free()
	if s.extra != nil {
		s.extra.overflow = nil
	}
	s.mu.Unlock()
	s.hub.presence.unwatch(s, watched)
	s.hub.removeSocket(s)
}

func (s *Socket) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.block.Flags.open
}

func (s *Socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.block.Flags.closed
}

// wants reports whether the socket is sent an entry. A legacy page shows every
// message that it is sent in the channel that is open, so it is sent messages of
// that channel only.
func (s *Socket) wants(ch *channel, e *entry) bool {
	return !s.block.Flags.legacyPage || e.kind != chat.EventMessage || s.extra.shown.Load() == ch
}
