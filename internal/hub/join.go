package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// Join subscribes the socket to a channel that its user belongs to. It returns
// the seq after which the socket is sent entries.
func (s *Socket) Join(ctx context.Context, id chat.ID) (chat.Seq, error) {
	sub := s.subscriptionByID(id)
	if sub == nil {
		var err error
		if sub, err = s.loadSubscription(ctx, id); err != nil {
			return 0, err
		}
	}
	if sub.Ended() {
		return 0, chat.ErrAccessDenied
	}
	ch := sub.channel
	if s.block.Flags.legacyPage {
		s.extra.shown.Store(ch)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if sub.State() == unsubscribed {
		sub.SetState(live)
		sub.SetSeq(max(sub.Seq(), ch.head))
	}
	return sub.Seq(), nil
}

// loadSubscription subscribes the socket to a channel if the user is a member in the
// database. It is for channels that the socket is not subscribed to.
func (s *Socket) loadSubscription(ctx context.Context, id chat.ID) (*subscription, error) {
	states, err := s.hub.config.Store.ChannelStates(ctx, s.user.id)
	if err != nil {
		return nil, err
	}
	for _, state := range states {
		if state.ID != id {
			continue
		}
		if err := s.hub.subscribeAll(ctx, s, []chat.ChannelState{state}); err != nil {
			return nil, err
		}
		s.Open()
		if sub := s.subscriptionByID(id); sub != nil {
			return sub, nil
		}
	}
	return nil, chat.ErrAccessDenied
}

// Leave stops sending the socket the channel's entries. The membership stays.
func (s *Socket) Leave(id chat.ID) {
	sub := s.subscriptionByID(id)
	if sub == nil {
		return
	}
	ch := sub.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	sub.SetState(unsubscribed)
	if s.block.Flags.legacyPage {
		s.extra.shown.CompareAndSwap(ch, nil)
	}
}

// Resume moves the socket's cursors back to those of the client. It returns the range
// that each resumed channel is sent, the channels to resync because the client's
// cursor is beyond the head, which means another history, and those of which the user
// is not a member.
func (s *Socket) Resume(
	cursors map[chat.ID]chat.Seq,
) (resumed map[chat.ID]chat.SeqRange, resync, denied []chat.ID) {
	resumed = make(map[chat.ID]chat.SeqRange, len(cursors))
	fellBehind := false
	for id, seq := range cursors {
		sub := s.subscriptionByID(id)
		if sub == nil || sub.Ended() {
			denied = append(denied, id)
			continue
		}
		head, moved := sub.resume(seq)
		if seq > head {
			resync = append(resync, id)
		} else {
			resumed[id] = chat.SeqRange{From: seq, To: head}
		}
		fellBehind = fellBehind || moved
	}
	if fellBehind {
		s.hub.behind.put(s)
	}
	return resumed, resync, denied
}

// resume moves the cursor to seq, unless that is beyond the head, which it returns.
// It reports whether the subscription is behind now.
func (sub *subscription) resume(seq chat.Seq) (head chat.Seq, moved bool) {
	ch := sub.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	head = max(ch.head, ch.beyondGap, sub.Seq())
	if seq > head || seq == sub.Seq() && sub.State() != unsubscribed {
		return head, false
	}
	sub.SetSeq(seq)
	sub.SetState(behind)
	// A user who was removed and came back while away is not sent what was published
	// in between: the entry by which they came back ends NotMember.
	sub.SetNotMember(seq < sub.JoinedSeq())
	return head, true
}

// DelayOwnEcho keeps the channel's entries from the user's legacy pages until
// release. Such a page shows its own message twice if it receives the event before
// the response to its request.
func (h *Hub) DelayOwnEcho(id chat.UserID, channel chat.ID) (release func()) {
	var held []listener
	for _, s := range h.socketsOf(id) {
		if sub := s.subscriptionByID(channel); s.block.Flags.legacyPage && sub != nil {
			sub.channel.mu.Lock()
			if sub.Hold() {
				held = append(held, listener{sub, s})
			}
			sub.channel.mu.Unlock()
		}
	}
	return func() {
		for _, l := range held {
			ch := l.channel
			ch.mu.Lock()
			l.Release()
			if l.State() == live && l.Seq() < ch.head {
				l.SetState(behind)
			}
			ch.mu.Unlock()
			h.behind.put(l.socket)
		}
	}
}
