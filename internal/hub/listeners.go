package hub

import "slices"

// listener is a cursor together with whose it is. A cursor does not name its socket:
// the socket knows its cursors, and a channel who sits where.
type listener struct {
	*subscription
	socket *Socket
}

// listeners are a channel's: its sockets, and which of its cursors each has there.
// They are two lists, since every listener is in one of its own.
type listeners struct {
	sockets []*Socket
	slots   []uint8
}

// overflowSlot is the slot of a cursor that is none of those with which the socket
// opened.
const overflowSlot = 0xff

func (l *listeners) len() int { return len(l.sockets) }

func (l *listeners) add(s *Socket, slot uint8) {
	if n := len(l.sockets); n == cap(l.sockets) { // in smaller steps than append's: there are many
		more := n/8 + 4
		l.sockets, l.slots = roomier(l.sockets, more), roomier(l.slots, more)
	}
	l.sockets, l.slots = append(l.sockets, s), append(l.slots, slot)
}

func roomier[T any](list []T, more int) []T {
	return append(make([]T, 0, len(list)+more), list...)
}

// remove takes out the one at a place; the last one is there then.
func (l *listeners) remove(at int) {
	last := len(l.sockets) - 1
	l.sockets[at], l.slots[at] = l.sockets[last], l.slots[last]
	l.sockets[last] = nil
	l.sockets, l.slots = l.sockets[:last], l.slots[:last]
	if cap(l.sockets) > 64 && len(l.sockets) < cap(l.sockets)/4 {
		l.sockets, l.slots = slices.Clone(l.sockets), slices.Clone(l.slots)
	}
}

// listener gives the cursor at a place. Called with mu held.
func (ch *channel) listener(at int) listener {
	s := ch.listeners.sockets[at]
	return listener{s.pairAt(ch, ch.listeners.slots[at]), s}
}
