package hub

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
)

// A socket's subscriptions are in a block, which it allocates when it opens. Those
// that do not fit, and those that begin later, are few: they are in its socketExtra.
// A subscription that ended is not used again, because others may still hold a
// pointer to it.

// overflowSlot is the slot of a subscription that is not in the socket's block.
const overflowSlot = compact.MaxBlock

// socketFlags are a part of the block: there they take no memory of their own.
type socketFlags struct {
	closed     bool // guarded by mu
	open       bool // guarded by mu
	legacyPage bool // see wants; set by Attach
	deflate    bool // accepts compressed frames; set before Open
}

// allocate allocates the block for n subscriptions.
func (s *Socket) allocate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.block.Allocate(n)
}

// newSubscription returns a subscription to fill in and then add, with its slot. It
// returns nil when the socket is closed.
func (s *Socket) newSubscription(ch *channel) (sub *subscription, slot uint8) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block.Flags.closed {
		return nil, 0
	}
	items := s.block.Items()
	for i := range items {
		if sub := &items[i]; sub.channel == nil {
			sub.channel = ch
			return sub, uint8(i)
		}
	}
	return &subscription{channel: ch}, overflowSlot
}

// addSubscription begins to use a subscription, which is at an index among its
// channel's listeners from then on. It reports false when the socket is closed.
func (s *Socket) addSubscription(sub *subscription, index int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.block.Flags.closed {
		return false
	}
	sub.SetIndex(index)
	if !s.block.Contains(sub) {
		extra := s.ensureExtra()
		extra.overflow = append(extra.overflow, sub)
	}
	return true
}

// dropSubscription forgets a subscription that its channel has removed.
func (s *Socket) dropSubscription(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.extra == nil {
		return
	}
	overflow := s.extra.overflow
	if i := slices.Index(overflow, sub); i >= 0 {
		last := len(overflow) - 1
		overflow[i], overflow[last] = overflow[last], nil
		s.extra.overflow = overflow[:last]
	}
}

// subscriptionAt returns the subscription that was added for a channel. Called with
// the channel's mu held.
func (s *Socket) subscriptionAt(ch *channel, slot uint8) *subscription {
	if slot != overflowSlot {
		return &s.block.Items()[slot]
	}
	return s.subscriptionTo(ch)
}

// subscriptionTo returns the socket's subscription to a channel, nil for none.
func (s *Socket) subscriptionTo(ch *channel) *subscription {
	return s.findSubscription(func(sub *subscription) bool { return sub.channel == ch })
}

// subscriptionByID is subscriptionTo by the channel's id.
func (s *Socket) subscriptionByID(id chat.ID) *subscription {
	return s.findSubscription(func(sub *subscription) bool { return sub.channel.id == id })
}

func (s *Socket) findSubscription(matches func(*subscription) bool) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sub := range s.each {
		if matches(sub) {
			return sub
		}
	}
	return nil
}

// subscriptions returns all of the socket's subscriptions.
func (s *Socket) subscriptions() []*subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(s.each)
}

// each is an iterator over the subscriptions in use. Called with mu held.
func (s *Socket) each(yield func(*subscription) bool) {
	items := s.block.Items()
	for i := range items {
		if sub := &items[i]; sub.isListening() && !yield(sub) {
			return
		}
	}
	if s.extra == nil {
		return
	}
	for _, sub := range s.extra.overflow {
		if !yield(sub) {
			return
		}
	}
}
