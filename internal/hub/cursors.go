package hub

import "unsafe"

// cursors are those that a socket has when it opens, made in one piece: apart, with
// pointers to them, they would be most of what an idle socket costs. Those that come
// later are rare. A cursor that is dropped is not used again, because others may
// still know it; and one that was never used has no channel.
type cursors []subscription

const maxBlock = 64

// block gives the socket's, which are the same from makeRoom on until it is closed
// and in no channel any more.
func (s *Socket) block() cursors { return unsafe.Slice(s.first, s.count) }

// makeRoom prepares for n cursors.
func (s *Socket) makeRoom(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil && n > 0 {
		block := make(cursors, min(n, maxBlock))
		s.first, s.count = &block[0], uint8(len(block))
	}
}

// take gives a cursor for a channel, to be filled in and then added, and its slot.
func (c cursors) take(ch *channel) (p *subscription, slot uint8) {
	for i := range c {
		if p := &c[i]; p.ch == nil {
			p.ch = ch
			return p, uint8(i)
		}
	}
	return &subscription{ch: ch}, overflowSlot
}

// has says whether p is one of them.
func (c cursors) has(p *subscription) bool {
	for i := range c {
		if &c[i] == p {
			return true
		}
	}
	return false
}

// each yields those that are in use until yield is false, and then is false itself.
// One is in use while it has a place in its channel.
func (c cursors) each(yield func(*subscription) bool) bool {
	for i := range c {
		if p := &c[i]; p.place() >= 0 && !yield(p) {
			return false
		}
	}
	return true
}
