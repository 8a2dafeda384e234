package hub

import (
	"sync/atomic"

	"github.com/chowk-chat/chowk/chat"
)

// subscription is one socket's cursor in one channel. There are many more of them than of
// anything else, so what they have to say is packed into two words: a test watches
// their size.
type subscription struct {
	ch *channel
	// serving is the cursor, what the pair is served by and what keeps it from
	// being served. It is guarded by ch.mu.
	serving uint64
	// member is the entry by which the user became a member, whether he has ceased
	// to be one, and the pair's place among ch.listeners. It is changed under ch.mu;
	// whether he has ceased may be asked by anybody, who shall not have to wait for
	// a fan-out.
	member atomic.Uint64
}

// serving: the state in 2 bits, out in 1, the holds in 8, the cursor in 48. (No
// channel has as many entries as 48 bits count: ten thousand a second for nine
// centuries.)
const (
	stateBits  = 3
	outBit     = 1 << 2
	holdUnit   = 1 << 3
	holdMost   = 255
	holdBits   = holdMost * holdUnit
	cursorUnit = 1 << 16
)

// member: the place and one more in 24 bits, ended in 1, the entry in 39 (for two
// years).
const (
	placeBits = 1<<24 - 1 // sockets of one channel on one node, at most
	endedBit  = 1 << 24
	beganUnit = 1 << 25
	beganMost = 1<<39 - 1
)

type pairState uint8

const (
	opening      pairState = iota // the socket has not had its connection frame
	live                          // level, or served by the fan-out
	behind                        // served by the readers until it is level
	unsubscribed                  // the socket does not want this channel
)

// The following are called with ch.mu held.

func (p *subscription) state() pairState { return pairState(p.serving & stateBits) }

func (p *subscription) become(s pairState) { p.serving = p.serving&^stateBits | uint64(s) }

// served says whether the fan-out serves the pair.
func (p *subscription) served() bool { return p.serving&(stateBits|holdBits) == uint64(live) }

func (p *subscription) cursor() chat.Seq { return chat.Seq(p.serving / cursorUnit) }

func (p *subscription) moveTo(cursor chat.Seq) {
	p.serving = p.serving%cursorUnit | uint64(cursor)*cursorUnit
}

// notMember says that the user is not a member as of the cursor.
func (p *subscription) notMember() bool { return p.serving&outBit != 0 }

func (p *subscription) setNotMember(out bool) {
	p.serving &^= outBit
	if out {
		p.serving |= outBit
	}
}

// held says that there are reasons to serve nothing for a moment.
func (p *subscription) held() bool { return p.serving&holdBits != 0 }

// hold counts one reason more, if it can.
func (p *subscription) hold() bool {
	if p.serving&holdBits == holdBits {
		return false
	}
	p.serving += holdUnit
	return true
}

func (p *subscription) letGo() { p.serving -= holdUnit }

// place is the index in ch.listeners, -1 when the pair is not there.
func (p *subscription) place() int { return int(p.member.Load()&placeBits) - 1 }

func (p *subscription) setPlace(at int) { p.member.Store(p.member.Load()&^placeBits | uint64(at+1)) }

// begin notes the entry by which the user became a member, 0 for a founder.
func (p *subscription) begin(seq chat.Seq) {
	p.member.Store(p.member.Load()&placeBits | uint64(min(seq, beganMost))*beganUnit)
}

// end notes that as of the channel's head he is none any more.
func (p *subscription) end() { p.member.Store(p.member.Load() | endedBit) }

// What follows may be called by anybody.

func (p *subscription) ended() bool { return p.member.Load()&endedBit != 0 }

func (p *subscription) began() chat.Seq { return chat.Seq(p.member.Load() / beganUnit) }
