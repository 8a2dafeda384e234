package client

import (
	"sync"

	"github.com/chowk-chat/chowk/chat"
)

// cursors is how far each channel has come. The goroutine that reads the socket
// moves them; Join and Leave mark them.
type cursors struct {
	mu     sync.Mutex // guards what follows
	epoch  string
	m      map[chat.ID]*cursor
	behind int // channels that have not come as far as the last connection frame said
}

// cursor is one channel's.
type cursor struct {
	seq    chat.Seq // the last that was put into the queue
	handed chat.Seq // the last that Next returned
	seen   chat.Seq // the greatest that was on the wire
	target chat.Seq // where it will be level, 0 when it is
	muted  bool     // Leave was called
	left   bool     // the user is not a member
	fresh  bool     // any next seq will do: Join was called
	need   bool     // a resume is to be asked for
	asking bool     // a resume is under way
	reset  bool     // a Resync was told of which the server will speak too
	from   chat.Seq // where the last resume that was answered began
	futile int      // resumes in a row after which the same was missing
}

// maxFutile is how often a hole is asked for that the server does not fill.
const maxFutile = 3

// verdict is what to do with an entry of a log.
type verdict uint8

const (
	drop    verdict = iota // it was seen, comes again, or is not wanted
	deliver                // it is the next
	ask                    // something is missing before it: wake the writer
	giveUp                 // something is missing that the server does not have
)

// judge looks at an entry before it is put into the queue.
func (c *cursors) judge(ev *Event) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[ev.ChannelID]
	if cur == nil {
		c.m[ev.ChannelID] = &cursor{seq: ev.Seq - 1, handed: ev.Seq - 1}
		return deliver
	}
	cur.seen = max(cur.seen, ev.Seq)
	switch {
	case cur.muted:
		return drop
	case cur.left, cur.fresh:
		if cur.left && ev.Type != chat.EventChannelJoined {
			return drop
		}
		cur.left, cur.fresh, cur.seq = false, false, ev.Seq-1
		return deliver
	case ev.Seq <= cur.seq:
		return drop
	case ev.Seq == cur.seq+1, ev.Type == chat.EventChannelJoined:
		// Who was removed and taken back hears nothing of the time between: the
		// channel begins again with the entry by which he came back.
		return deliver
	}
	if cur.need || cur.asking {
		return drop
	}
	if cur.from != cur.seq {
		cur.futile = 0
	} else if cur.futile++; cur.futile > maxFutile {
		return giveUp
	}
	cur.need = true
	return ask
}

// delivered moves the cursor over an entry that is in the queue; level is true
// when it was the last that anybody waited for.
func (c *cursors) delivered(ev *Event) (level bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[ev.ChannelID]
	if cur == nil {
		return false
	}
	cur.seq = ev.Seq
	switch ev.Type {
	case chat.EventChannelLeft:
		cur.left, cur.need, cur.asking = true, false, false
	case chat.EventChannelJoined:
		cur.need = false
	}
	if cur.left || cur.seq >= cur.target {
		return c.levelled(cur)
	}
	return false
}

// skipped notes that there was no room for an entry.
func (c *cursors) skipped(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[ev.ChannelID]; cur != nil {
		cur.need = true
	}
}

func (c *cursors) levelled(cur *cursor) bool {
	if cur.target == 0 {
		return false
	}
	cur.target = 0
	c.behind--
	return c.behind == 0
}

// handedOut notes that Next returned an entry.
func (c *cursors) handedOut(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[ev.ChannelID]; cur != nil {
		cur.handed = ev.Seq
	}
}

// maxInAddress is for how many channels a handshake's address has room; more are
// asked for once the socket is open.
const maxInAddress = 250

// handshake gives the cursors with which a socket is opened, none when there are
// none or too many.
func (c *cursors) handshake() (epoch string, asked map[chat.ID]chat.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == "" || len(c.m) > maxInAddress {
		return "", nil
	}
	asked = make(map[chat.ID]chat.Seq, len(c.m))
	for id, cur := range c.m {
		if !cur.left && !cur.muted && !cur.fresh {
			asked[id] = cur.seq
		}
	}
	return c.epoch, asked
}

// greet takes the first frame of a socket that was opened with the cursors asked,
// and makes the events that tell what cannot be resumed. level is true when nothing
// was missed.
func (c *cursors) greet(hello *chat.ConnectionFrame, asked map[chat.ID]chat.Seq) (events []Event, level bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := c.epoch == ""
	same := first || c.epoch == hello.Epoch
	c.epoch = hello.Epoch
	listed := make(map[chat.ID]bool, len(hello.Channels))
	c.behind = 0
	for _, st := range hello.Channels {
		listed[st.ID] = true
		cur := c.m[st.ID]
		if cur == nil && first {
			c.m[st.ID] = &cursor{seq: st.LastSeq, handed: st.LastSeq}
			continue
		}
		if reason := c.meet(st, cur, same); reason != "" {
			events = append(events, resyncEvent(st.ID, st.LastSeq, hello.Timestamp, reason))
			_, spoken := asked[st.ID]
			c.m[st.ID].reset = spoken && (reason == ReasonEpoch || reason == ReasonAhead)
		} else if from, served := hello.Resumed[st.ID]; served && from.From == c.m[st.ID].seq {
			c.m[st.ID].need = false
		}
	}
	for id, cur := range c.m {
		if listed[id] {
			continue
		}
		delete(c.m, id)
		if !cur.left && !cur.muted {
			events = append(events, leftEvent(id, hello.Timestamp))
		}
	}
	return events, c.behind == 0
}

// meet compares a channel with what the server says of it.
func (c *cursors) meet(st chat.ChannelState, cur *cursor, same bool) Reason {
	reason := Reason("")
	switch {
	case cur == nil:
		cur = &cursor{}
		c.m[st.ID] = cur
		reason = ReasonJoined
	case cur.muted:
		*cur = cursor{seq: st.LastSeq, handed: cur.handed, muted: true}
		return ""
	case cur.left:
		reason = ReasonJoined
	case !same:
		reason = ReasonEpoch
	case cur.seq > st.LastSeq:
		reason = ReasonAhead
	}
	if reason != "" {
		*cur = cursor{seq: st.LastSeq, handed: cur.handed}
		return reason
	}
	*cur = cursor{seq: cur.seq, handed: cur.handed, fresh: cur.fresh}
	if cur.seq < st.LastSeq && !cur.fresh {
		cur.need, cur.target = true, st.LastSeq
		c.behind++
	}
	return ""
}

// due gives the channels that are to be asked for, at most maxResume.
func (c *cursors) due() (epoch string, due map[chat.ID]chat.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, cur := range c.m {
		if !cur.need || cur.asking || cur.left || cur.muted {
			continue
		}
		if due == nil {
			due = make(map[chat.ID]chat.Seq)
		}
		cur.need, cur.asking = false, true
		if due[id] = cur.seq; len(due) == maxResume {
			break
		}
	}
	return c.epoch, due
}

func (c *cursors) anyNeed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cur := range c.m {
		if cur.need && !cur.asking {
			return true
		}
	}
	return false
}

// answered ends a resume: the channels are served, or are to be asked for again.
func (c *cursors) answered(asked map[chat.ID]chat.Seq, again bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, seq := range asked {
		if cur := c.m[id]; cur != nil && cur.asking {
			cur.asking = false
			cur.need = cur.need || again
			if !again {
				cur.from = seq
			}
		}
	}
}

// lose gives up on the history of a channel, and says from where it goes on.
func (c *cursors) lose(id chat.ID) (seq chat.Seq, level, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil || cur.left || cur.muted || cur.reset {
		if cur != nil {
			cur.reset = false
		}
		return 0, false, false
	}
	cur.seq = max(cur.seq, cur.seen, cur.target)
	cur.need, cur.asking = false, false
	return cur.seq, c.levelled(cur), true
}

// deny ends a channel of which the user is not a member; ok is false when that was
// known.
func (c *cursors) deny(id chat.ID) (level, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil || cur.left {
		return false, false
	}
	cur.left, cur.need, cur.asking = true, false, false
	return c.levelled(cur), true
}

// unsubscribe notes that nothing of a channel is wanted.
func (c *cursors) unsubscribe(id chat.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil {
		cur = &cursor{}
		c.m[id] = cur
	}
	cur.muted, cur.need, cur.asking = true, false, false
	c.levelled(cur)
}

// unmute wants a channel again, from wherever the server begins.
func (c *cursors) unmute(id chat.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[id]; cur != nil && cur.muted {
		*cur = cursor{handed: cur.handed, fresh: true}
	}
}

// joined notes from where the server begins.
func (c *cursors) joined(id chat.ID, seq chat.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil {
		c.m[id] = &cursor{seq: seq, handed: seq}
	} else if cur.fresh {
		cur.fresh, cur.seq = false, seq
	}
}

func (c *cursors) muted() (ids []chat.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, cur := range c.m {
		if cur.muted {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *cursors) snapshot() Cursors {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Cursors{Epoch: c.epoch, Channels: make(map[chat.ID]chat.Seq, len(c.m))}
	for id, cur := range c.m {
		if !cur.left && !cur.muted {
			s.Channels[id] = cur.handed
		}
	}
	return s
}
