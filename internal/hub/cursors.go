package hub

import "math/bits"

// cursors are those of one socket. The ones that it has when it opens are made in
// one piece: apart, with pointers to them, they would be most of what an idle socket
// costs. Those that come later are rare. A cursor that is dropped is not used again, because others may still know
// it.
type cursors struct {
	block []pair // at most 64; it never moves. Those without a socket were never used
	live  uint64 // which of them are in use
}

const maxBlock = 64

// room makes a block for n cursors, unless there is one.
func (c *cursors) room(n int) {
	if c.block == nil && n > 0 {
		c.block = make([]pair, min(n, maxBlock))
	}
}

// take gives s a cursor to be filled in and then added.
func (c *cursors) take(s *Socket) *pair {
	for i := range c.block {
		if p := &c.block[i]; p.socket == nil {
			p.socket = s
			return p
		}
	}
	return &pair{socket: s}
}

// bit is p's in live, 0 when p is not in the block.
func (c *cursors) bit(p *pair) uint64 {
	for i := range c.block {
		if &c.block[i] == p {
			return 1 << i
		}
	}
	return 0
}

// add begins to use p; false when it is not of the block.
func (c *cursors) add(p *pair) bool {
	bit := c.bit(p)
	c.live |= bit
	return bit != 0
}

// drop ends the use of p; false when it is not of the block.
func (c *cursors) drop(p *pair) bool {
	bit := c.bit(p)
	c.live &^= bit
	return bit != 0
}

// each yields those of the block until yield is false, and then is false itself.
func (c *cursors) each(yield func(*pair) bool) bool {
	for live := c.live; live != 0; live &= live - 1 {
		if !yield(&c.block[bits.TrailingZeros64(live)]) {
			return false
		}
	}
	return true
}
