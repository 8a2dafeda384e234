package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Conn is what the hub writes to.
type Conn interface {
	// Write takes b, which nobody changes any more, without ever blocking. While
	// a part of an earlier write waits for the peer it takes nothing and reports
	// false; the owner calls Socket.Writable when that part is gone.
	Write(b []byte) bool
	// Backlogged reports whether such a part waits.
	Backlogged() bool
}

// Socket is one client's WebSocket as the hub knows it.
type Socket struct {
	hub   *Hub
	conn  Conn
	user  *user
	extra *socketExtra // nil while there is none of it; a page of the old system has it from the start

	mu     sync.Mutex    // guards what follows, and rare
	first  *subscription // of count, in one piece that never moves: see cursors
	count  uint8
	closed bool
	open   bool

	old     bool // a page of the old system: see wants; set by Attach
	deflate bool // takes compressed frames; set before Open

	self user // of the user's first socket, see user
}

// extra is what few sockets have.
type socketExtra struct {
	focus   atomic.Pointer[channel] // the channel that a page of the old system shows
	more    []*subscription         // cursors that came later than the others
	watches *watches                // nil while it watches nobody
}

// ensureExtra gives what is rare, to be changed. Called with mu held.
func (s *Socket) ensureExtra() *socketExtra {
	if s.extra == nil {
		s.extra = new(socketExtra)
	}
	return s.extra
}

// watching gives whom the socket watches, nil for nobody. Called with mu held.
func (s *Socket) watching() *watches {
	if s.extra == nil {
		return nil
	}
	return s.extra.watches
}

// Deflate says that the socket takes compressed frames. It is called before Open.
func (s *Socket) Deflate() { s.deflate = true }

// Deflates tells whether Deflate was called.
func (s *Socket) Deflates() bool { return s.deflate }

// ErrTooManySockets refuses a user who has as many sockets as he may.
var ErrTooManySockets = &chat.Error{Code: chat.RateLimited, Message: "You have too many connections open. Close some, or wait until the server notices that they are gone.", RetryAfter: 5 * time.Second}

// User is whose socket it is.
func (s *Socket) User() chat.UserID { return s.user.id }

// Sockets is how many the user has here.
func (h *Hub) Sockets(id chat.UserID) int {
	u := h.lookupUser(id)
	if u == nil {
		return 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.count()
}

// Attach makes the user's socket hear all of the user's channels from the moment
// of the standings that it returns. Nothing is written until Open. A user who has
// most sockets already is refused (0: no limit).
func (h *Hub) Attach(ctx context.Context, conn Conn, id chat.UserID, most int, oldPage bool) (*Socket, []chat.ChannelState, error) {
	s := new(Socket)
	standings, err := h.AttachTo(ctx, s, conn, id, most, oldPage)
	if err != nil {
		return nil, nil, err
	}
	return s, standings, nil
}

// AttachTo is Attach for a Socket that is a part of something.
func (h *Hub) AttachTo(ctx context.Context, s *Socket, conn Conn, id chat.UserID, most int, oldPage bool) ([]chat.ChannelState, error) {
	s.hub, s.conn, s.old = h, conn, oldPage
	if oldPage {
		s.extra = new(socketExtra)
	}
	// Known to be here first, read second: a membership that begins in between is
	// seen by one or the other.
	if !h.addSocket(s, id, most) {
		return nil, ErrTooManySockets
	}
	standings, err := h.config.Store.ChannelStates(ctx, id)
	if err == nil {
		err = h.listen(ctx, s, standings)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return standings, nil
}

// listen makes the socket's cursors, and finds out how far the channels are to
// which nobody listened before.
func (h *Hub) listen(ctx context.Context, s *Socket, standings []chat.ChannelState) error {
	s.makeRoom(len(standings))
	var unknown []*channel
	for _, st := range standings {
		ch, known := h.pairUp(s, st)
		if !known {
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
	// An entry committed after the standings were read and before the channel was
	// known here was published to nobody; the head read now tells.
	heads, err := h.config.Store.Heads(ctx, ids)
	if err != nil {
		return err
	}
	for _, ch := range unknown {
		ch.learn(heads[ch.id])
		h.dirty(ch)
	}
	return nil
}

// pairUp makes a cursor at the head that the standing names, in a channel that is
// not gone.
func (h *Hub) pairUp(s *Socket, st chat.ChannelState) (ch *channel, known bool) {
	for {
		ch = h.getOrCreate(st.ID)
		ch.mu.Lock()
		if ch.gone {
			ch.mu.Unlock()
			continue
		}
		if p := ch.add(s, st.LastSeq, st.JoinedSeq, opening); p != nil && p.state() == opening {
			p.moveTo(st.LastSeq)
		}
		known = ch.known
		ch.mu.Unlock()
		return ch, known
	}
}

// Open begins to serve a socket that has had its connection frame.
func (s *Socket) Open() {
	s.mu.Lock()
	s.open = true
	subscriptions := s.all()
	s.mu.Unlock()
	late := false
	for _, p := range subscriptions {
		p.ch.mu.Lock()
		if p.state() == opening {
			p.become(behind)
			if p.ch.known && p.cursor() >= p.ch.head {
				p.become(live)
			}
		}
		late = late || p.state() == behind
		p.ch.mu.Unlock()
	}
	s.user.opened(s.hub)
	if late {
		s.hub.behind.put(s)
	}
}

// Writable is called when a part of a write that waited for the peer is gone.
func (s *Socket) Writable() { s.hub.behind.put(s) }

// Close takes the socket out of everything. It may be called more than once.
func (s *Socket) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true // so that there are no more cursors from here on
	subscriptions := s.all()
	w := s.watching()
	if s.extra != nil {
		s.extra.watches = nil
	}
	s.mu.Unlock()
	for _, p := range subscriptions {
		p.ch.mu.Lock()
		p.ch.remove(p)
		empty := p.ch.listeners.len() == 0
		p.ch.mu.Unlock()
		if empty {
			s.hub.evict(p.ch)
		}
	}
	s.mu.Lock()
	s.first, s.count = nil, 0
	if s.extra != nil {
		s.extra.more = nil
	}
	s.mu.Unlock()
	s.hub.presence.unwatch(s, w)
	s.hub.removeSocket(s)
}

func (s *Socket) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *Socket) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// wants says whether the socket is sent an entry: a page of the old system puts
// every message it gets into the channel that it shows, so it gets no others.
func (s *Socket) wants(ch *channel, e *entry) bool {
	return !s.old || e.kind != chat.EventMessage || s.extra.focus.Load() == ch
}

func (s *Socket) subscription(ch *channel) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.each {
		if p.ch == ch {
			return p
		}
	}
	return nil
}

func (s *Socket) pairIn(id chat.ID) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.each {
		if p.ch.id == id {
			return p
		}
	}
	return nil
}

// newPair gives a cursor for a channel, to be filled in and then added, and its
// slot; nil when the socket is closed.
func (s *Socket) newPair(ch *channel) (p *subscription, slot uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, 0
	}
	return s.block().take(ch)
}

// pairAt gives the cursor that was added for a channel. Called with the channel's mu
// held.
func (s *Socket) pairAt(ch *channel, slot uint8) *subscription {
	if slot != overflowSlot {
		return &s.block()[slot]
	}
	return s.subscription(ch)
}

// addPair begins to use a cursor, which has its place in the channel from then on;
// false when the socket is closed.
func (s *Socket) addPair(p *subscription, place int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	p.setPlace(place)
	if !s.block().has(p) {
		r := s.ensureExtra()
		r.more = append(r.more, p)
	}
	return true
}

func (s *Socket) dropPair(p *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block().has(p) || s.extra == nil {
		return
	}
	more := s.extra.more
	for i, q := range more {
		if q == p {
			last := len(more) - 1
			more[i], more[last] = more[last], nil
			s.extra.more = more[:last]
			return
		}
	}
}

func (s *Socket) snapshot() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all()
}

// each is an iterator over the cursors. Called with mu held.
func (s *Socket) each(yield func(*subscription) bool) {
	if !s.block().each(yield) || s.extra == nil {
		return
	}
	for _, p := range s.extra.more {
		if !yield(p) {
			return
		}
	}
}

func (s *Socket) all() []*subscription { return slices.Collect(s.each) }
