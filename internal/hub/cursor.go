package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// Join makes the socket hear a channel of which its user is a member, from now on.
func (s *Socket) Join(ctx context.Context, id chat.ID) (chat.Seq, error) {
	p := s.pairIn(id)
	if p == nil {
		var err error
		if p, err = s.lookUp(ctx, id); err != nil {
			return 0, err
		}
	}
	if p.ended() {
		return 0, chat.ErrAccessDenied
	}
	if s.old {
		s.extra.focus.Store(p.ch)
	}
	p.ch.mu.Lock()
	defer p.ch.mu.Unlock()
	if p.state() == unsubscribed {
		p.become(live)
		p.moveTo(max(p.cursor(), p.ch.head))
	}
	return p.cursor(), nil
}

// lookUp asks the database about a channel that this node does not know to be the
// user's.
func (s *Socket) lookUp(ctx context.Context, id chat.ID) (*subscription, error) {
	standings, err := s.hub.config.Store.ChannelStates(ctx, s.user.id)
	if err != nil {
		return nil, err
	}
	for _, st := range standings {
		if st.ID != id {
			continue
		}
		if err := s.hub.listen(ctx, s, []chat.ChannelState{st}); err != nil {
			return nil, err
		}
		s.Open()
		if p := s.pairIn(id); p != nil {
			return p, nil
		}
	}
	return nil, chat.ErrAccessDenied
}

// Leave makes the socket hear nothing more of a channel. The membership stays.
func (s *Socket) Leave(id chat.ID) {
	p := s.pairIn(id)
	if p == nil {
		return
	}
	p.ch.mu.Lock()
	defer p.ch.mu.Unlock()
	p.become(unsubscribed)
	if s.old {
		s.extra.focus.CompareAndSwap(p.ch, nil)
	}
}

// Resume sets cursors back to where the client is. A cursor ahead of the channel's
// head names a history that is not ours: that channel is told to resync, as is
// every channel when the epoch is another.
func (s *Socket) Resume(cursors map[chat.ID]chat.Seq) (resumed map[chat.ID]chat.SeqRange, resync, denied []chat.ID) {
	resumed = make(map[chat.ID]chat.SeqRange, len(cursors))
	late := false
	for id, seq := range cursors {
		p := s.pairIn(id)
		if p == nil || p.ended() {
			denied = append(denied, id)
			continue
		}
		p.ch.mu.Lock()
		head := max(p.ch.head, p.ch.beyondGap, p.cursor())
		switch {
		case seq > head:
			resync = append(resync, id)
		default:
			resumed[id] = chat.SeqRange{From: seq, To: head}
			if seq != p.cursor() || p.state() == unsubscribed {
				p.moveTo(seq)
				p.become(behind)
				late = true
				// Whoever was away when he was removed and came back hears nothing of
				// the time between: the entry by which he came back begins it again.
				p.setNotMember(seq < p.began())
			}
		}
		p.ch.mu.Unlock()
	}
	if late {
		s.hub.behind.put(s)
	}
	return resumed, resync, denied
}

// DelayOwnEcho keeps the channel's entries from the user's sockets that are pages of
// the old system, until release: such a page shows its own message twice when it
// hears of it before its request is answered.
func (h *Hub) DelayOwnEcho(id chat.UserID, channel chat.ID) (release func()) {
	var held []listener
	for _, s := range h.socketsOf(id) {
		if p := s.pairIn(channel); s.old && p != nil {
			p.ch.mu.Lock()
			if p.hold() {
				held = append(held, listener{p, s})
			}
			p.ch.mu.Unlock()
		}
	}
	return func() {
		for _, p := range held {
			p.ch.mu.Lock()
			p.letGo()
			if p.state() == live && p.cursor() < p.ch.head {
				p.become(behind)
			}
			p.ch.mu.Unlock()
			h.behind.put(p.socket)
		}
	}
}
