// Package compact holds the data structures that keep an idle socket small:
// cursors packed into two words, blocks of cursors, a hash table of users and an
// arena of strings. They are independent of channels, sockets and fan-out.
package compact

import (
	"sync/atomic"

	"github.com/chowk-chat/chowk/chat"
)

// Cursor is the position of one socket in one channel's log, in 16 bytes. A node
// has more of them than of anything else. S is the type of its state, which has at
// most MaxStates values.
//
// The caller's lock guards a Cursor. Only Ended and JoinedSeq may be called without
// it.
type Cursor[S ~uint8] struct {
	// serving holds the state in 2 bits, notMember in 1, the holds in 8 and the seq
	// in 48. 48 bits last nine centuries at ten thousand entries a second.
	serving uint64
	// member holds the index and one more in 24 bits, ended in 1 and the seq at
	// which the membership began in 39, which last two years.
	member atomic.Uint64
}

// Bounds of what a Cursor stores.
const (
	MaxStates    = 4
	MaxHolds     = 1<<8 - 1
	MaxSeq       = 1<<48 - 1
	MaxIndex     = 1<<24 - 2
	MaxJoinedSeq = 1<<39 - 1
)

const (
	stateBits    = MaxStates - 1
	notMemberBit = 1 << 2
	holdUnit     = 1 << 3
	holdBits     = MaxHolds * holdUnit
	seqUnit      = 1 << 16

	indexBits  = 1<<24 - 1
	endedBit   = 1 << 24
	joinedUnit = 1 << 25
)

// State returns the state, the zero value of S at first.
func (c *Cursor[S]) State() S { return S(c.serving & stateBits) }

// SetState changes the state.
func (c *Cursor[S]) SetState(s S) { c.serving = c.serving&^stateBits | uint64(s) }

// Seq returns the last seq that the socket was sent.
func (c *Cursor[S]) Seq() chat.Seq { return chat.Seq(c.serving / seqUnit) }

// SetSeq moves the cursor to a seq, MaxSeq at most.
func (c *Cursor[S]) SetSeq(seq chat.Seq) { c.serving = c.serving%seqUnit | uint64(seq)*seqUnit }

// NotMember reports whether the user is not a member as of Seq.
func (c *Cursor[S]) NotMember() bool { return c.serving&notMemberBit != 0 }

// SetNotMember changes what NotMember reports.
func (c *Cursor[S]) SetNotMember(notMember bool) {
	c.serving &^= notMemberBit
	if notMember {
		c.serving |= notMemberBit
	}
}

// Held reports whether there are more calls of Hold than of Release.
func (c *Cursor[S]) Held() bool { return c.serving&holdBits != 0 }

// Hold counts one more reason not to serve the cursor. It reports false, and counts
// nothing, when there are MaxHolds already.
func (c *Cursor[S]) Hold() bool {
	if c.serving&holdBits == holdBits {
		return false
	}
	c.serving += holdUnit
	return true
}

// Release undoes one successful Hold.
func (c *Cursor[S]) Release() { c.serving -= holdUnit }

// Index returns the cursor's index in the channel's list of listeners, -1 while it
// is not in that list.
func (c *Cursor[S]) Index() int { return int(c.member.Load()&indexBits) - 1 }

// SetIndex changes the index, MaxIndex at most.
func (c *Cursor[S]) SetIndex(i int) { c.member.Store(c.member.Load()&^indexBits | uint64(i+1)) }

// Join stores the seq of the entry by which the user became a member, 0 for an
// initial member, and clears Ended. A seq above MaxJoinedSeq is stored as that.
func (c *Cursor[S]) Join(seq chat.Seq) {
	c.member.Store(c.member.Load()&indexBits | uint64(min(seq, MaxJoinedSeq))*joinedUnit)
}

// JoinedSeq returns the seq that Join stored. It needs no lock.
func (c *Cursor[S]) JoinedSeq() chat.Seq { return chat.Seq(c.member.Load() / joinedUnit) }

// End notes that as of the channel's head the user is no longer a member.
func (c *Cursor[S]) End() { c.member.Store(c.member.Load() | endedBit) }

// Ended reports whether End was called after the last Join. It needs no lock, so
// that no request waits for a fan-out.
func (c *Cursor[S]) Ended() bool { return c.member.Load()&endedBit != 0 }
