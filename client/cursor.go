package client

import (
	"sync"

	"github.com/chowk-chat/chowk/chat"
)

// cursors holds the position of each channel. The goroutine that reads the socket
// advances them; Join and Leave change them.
type cursors struct {
	mu     sync.Mutex // guards what follows
	epoch  string
	m      map[chat.ID]*cursor
	behind int // channels that have not reached the head in the last connection frame
}

// cursor is the position of one channel.
type cursor struct {
	seq      chat.Seq // the last entry in the queue
	returned chat.Seq // the last entry that Next returned
	seen     chat.Seq // the greatest seq received
	target   chat.Seq // where it has caught up, 0 once it has
	muted    bool     // Leave was called
	left     bool     // the user is not a member
	fresh    bool     // any next seq is accepted: Join was called
	need     bool     // a resume is needed
	asking   bool     // a resume is in progress
	reset    bool     // a Resync was delivered that the server will also send
	from     chat.Seq // where the last answered resume started
	futile   int      // consecutive resumes after which the same entry was missing
}

// maxFutile is how often the client requests a gap that the server does not fill.
const maxFutile = 3

// verdict is what to do with an entry of a log.
type verdict uint8

const (
	drop    verdict = iota // a duplicate, an entry that will come again, or an unwanted one
	deliver                // the next entry
	ask                    // an entry before it is missing: wake the writer
	giveUp                 // the server does not have the missing entry
)

// classify decides what to do with an entry.
func (c *cursors) classify(ev *Event) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[ev.ChannelID]
	if cur == nil {
		c.m[ev.ChannelID] = &cursor{seq: ev.Seq - 1, returned: ev.Seq - 1}
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
		// Users who were removed and added again receive nothing from the time between:
		// the channel starts over with the entry that added them.
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

// delivered advances the cursor to an entry in the queue. caughtUp reports that this
// was the last missing entry of all channels.
func (c *cursors) delivered(ev *Event) (caughtUp bool) {
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
		return c.markCaughtUp(cur)
	}
	return false
}

// skipped records that the queue had no room for an entry.
func (c *cursors) skipped(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[ev.ChannelID]; cur != nil {
		cur.need = true
	}
}

func (c *cursors) markCaughtUp(cur *cursor) bool {
	if cur.target == 0 {
		return false
	}
	cur.target = 0
	c.behind--
	return c.behind == 0
}

// returned records that Next returned an entry.
func (c *cursors) markReturned(ev *Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[ev.ChannelID]; cur != nil {
		cur.returned = ev.Seq
	}
}

// maxInURL is the maximum number of cursors in the URL of a handshake. With more, the
// client resumes once the socket is open.
const maxInURL = 250

// handshake returns the cursors for the URL of a handshake, none if there are too many.
func (c *cursors) handshake() (epoch string, asked map[chat.ID]chat.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == "" || len(c.m) > maxInURL {
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

// connected processes the first frame of a socket that was opened with the cursors
// asked. It returns the events for channels that cannot be resumed. caughtUp reports
// that nothing was missed.
func (c *cursors) connected(hello *chat.ConnectionFrame, asked map[chat.ID]chat.Seq) (events []Event, caughtUp bool) {
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
			c.m[st.ID] = &cursor{seq: st.LastSeq, returned: st.LastSeq}
			continue
		}
		if reason := c.compare(st, cur, same); reason != "" {
			events = append(events, resyncEvent(st.ID, st.LastSeq, hello.Timestamp, reason))
			_, wasAsked := asked[st.ID]
			c.m[st.ID].reset = wasAsked && (reason == ReasonEpoch || reason == ReasonAhead)
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

// compare compares a cursor with the channel's state on the server. It returns why the
// channel must be loaded again, "" if it need not.
func (c *cursors) compare(st chat.ChannelState, cur *cursor, same bool) Reason {
	reason := Reason("")
	switch {
	case cur == nil:
		cur = &cursor{}
		c.m[st.ID] = cur
		reason = ReasonJoined
	case cur.muted:
		*cur = cursor{seq: st.LastSeq, returned: cur.returned, muted: true}
		return ""
	case cur.left:
		reason = ReasonJoined
	case !same:
		reason = ReasonEpoch
	case cur.seq > st.LastSeq:
		reason = ReasonAhead
	}
	if reason != "" {
		*cur = cursor{seq: st.LastSeq, returned: cur.returned}
		return reason
	}
	*cur = cursor{seq: cur.seq, returned: cur.returned, fresh: cur.fresh}
	if cur.seq < st.LastSeq && !cur.fresh {
		cur.need, cur.target = true, st.LastSeq
		c.behind++
	}
	return ""
}

// due returns the channels to resume, at most maxResume.
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

// answered ends a resume: the server serves the channels, or the client must ask again.
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

// lose abandons the missing entries of a channel. It returns the seq after which the
// channel continues.
func (c *cursors) lose(id chat.ID) (seq chat.Seq, caughtUp, ok bool) {
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
	return cur.seq, c.markCaughtUp(cur), true
}

// deny ends a channel that the user is not a member of. ok is false if this was known.
func (c *cursors) deny(id chat.ID) (caughtUp, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil || cur.left {
		return false, false
	}
	cur.left, cur.need, cur.asking = true, false, false
	return c.markCaughtUp(cur), true
}

// unsubscribe stops the entries of a channel.
func (c *cursors) unsubscribe(id chat.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil {
		cur = &cursor{}
		c.m[id] = cur
	}
	cur.muted, cur.need, cur.asking = true, false, false
	c.markCaughtUp(cur)
}

// unmute accepts the entries of a channel again, from the server's starting point.
func (c *cursors) unmute(id chat.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur := c.m[id]; cur != nil && cur.muted {
		*cur = cursor{returned: cur.returned, fresh: true}
	}
}

// joined records the server's starting point.
func (c *cursors) joined(id chat.ID, seq chat.Seq) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cur := c.m[id]
	if cur == nil {
		c.m[id] = &cursor{seq: seq, returned: seq}
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
			s.Channels[id] = cur.returned
		}
	}
	return s
}
