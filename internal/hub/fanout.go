package hub

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// maxWrite bounds the bytes that are joined into one write, and so the bytes that a
// slow socket keeps.
const maxWrite = 32 << 10

// serve sends what was published to a channel to its live listeners.
func (h *Hub) serve(ch *channel) {
	if late, empty := h.serveLocked(ch); late != nil {
		h.Publish(late)
	} else if empty {
		h.evict(ch)
	}
}

// serveLocked returns the entries that came to a channel that is gone, for the channel
// that replaced it, and reports whether the channel has no listeners.
func (h *Hub) serveLocked(ch *channel) (late []chat.Entry, empty bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.headKnown && !ch.gone {
		return nil, false // the fan-out is scheduled again when the head is known
	}
	p := ch.dequeue()
	if ch.gone {
		ch.endTraces(0, 0)
		return p.entries, false
	}
	for i := range p.entries {
		ch.append(&p.entries[i])
	}
	ch.beyondGap = max(ch.beyondGap, p.overflow)
	h.fillGap(ch)
	written, fellBehind := h.deliverAll(ch)
	trace := ""
	if p.traced {
		trace = ch.endTraces(written, fellBehind)
	}
	if !p.since.IsZero() && ch.listeners.Len() > 0 {
		metric.Observe(h.config.Metrics.Lag, h.config.Now().Sub(p.since).Seconds(), trace)
	}
	transients, wait := ch.dequeueTransients(h.config.Now())
	for _, t := range transients {
		ch.sendTransient(t)
	}
	if wait {
		h.transients.Put(ch)
	}
	return nil, ch.listeners.Len() == 0
}

// deliverAll delivers to all live listeners, and returns how many have caught up and
// how many have fallen behind. Called with the channel's mu held.
func (h *Hub) deliverAll(ch *channel) (written, fellBehind int) {
	var plain, deflated batch
	// Backwards: when a subscription ends, one that was served already takes its index.
	for i := ch.listeners.Len() - 1; i >= 0; i-- {
		l := ch.listener(i)
		if !l.isServed() || l.Seq() >= ch.head {
			continue
		}
		b := &plain
		if l.socket.Deflates() {
			b = &deflated
		}
		if h.deliver(l, b) {
			written++
		} else {
			fellBehind++
		}
	}
	h.countWrites(plain.counts)
	h.countWrites(deflated.counts)
	return written, fellBehind
}

// deliver writes to a live listener what is due. It reports whether the listener has
// caught up, and not fallen behind because its socket accepts no more. Afterwards the
// listener may be removed. Called with the channel's mu held.
func (h *Hub) deliver(l listener, b *batch) (caughtUp bool) {
	s, ch := l.socket, l.channel
	for l.Seq() < ch.head {
		due, ok := ch.ring.after(l.Seq())
		if !ok {
			h.fallBehind(l)
			return false
		}
		if b.bytes == nil || b.from != l.Seq() {
			counts := b.counts
			*b = joinShared(due, l.Seq(), s.Deflates())
			b.counts = counts
		}
		w := write{bytes: b.bytes, to: b.to, entries: b.entries}
		if s.block.Flags.legacyPage || l.NotMember() || slices.Contains(b.recipients, s.user.id) {
			w = l.joinPersonal(due)
		}
		if !l.write(w, &b.counts) {
			h.fallBehind(l)
			return false
		}
	}
	l.dropIfNotMember()
	return true
}

// fallBehind leaves the listener to the readers.
func (h *Hub) fallBehind(l listener) {
	l.SetState(behind)
	h.config.Metrics.Behind.Inc()
	// The socket may have drained between the write that failed and SetState. Then
	// Writable does not put it into the queue.
	if !l.socket.conn.Backlogged() {
		h.behind.put(l.socket)
	}
}

// batch is the entries after one seq joined into one write, which most sockets share.
type batch struct {
	from, to   chat.Seq
	bytes      []byte
	entries    int
	recipients []chat.UserID // users who are sent a personal frame instead
	counts     writeCounts
}

// joinShared joins the shared frames of entries into one write.
func joinShared(due []entry, from chat.Seq, deflate bool) batch {
	b := batch{from: from, to: from}
	if len(due) > 0 && (len(due) == 1 || len(due[0].shared)+len(due[1].shared) > maxWrite) {
		due = due[:1]
		b.bytes = due[0].sharedFrame(deflate) // not a copy
	}
	for i := range due {
		e := &due[i]
		if len(due) > 1 {
			f := e.sharedFrame(deflate)
			if len(b.bytes)+len(f) > maxWrite && len(b.bytes) > 0 {
				break
			}
			b.bytes = append(b.bytes, f...)
		}
		if e.recipient != "" {
			b.recipients = append(b.recipients, e.recipient)
		}
		b.to = e.seq
		b.entries++
	}
	return b
}

// write is the bytes that one socket is sent next from one channel.
type write struct {
	bytes     []byte
	to        chat.Seq // the cursor afterwards
	entries   int
	notMember bool // whether the user is not a member afterwards
}

// joinPersonal joins the frames for the listener's user into one write: personal ones
// where there are any, and none from while the user was not a member. A legacy page is
// sent the messages of the channel that it shows. Called with the channel's mu held.
func (l listener) joinPersonal(due []entry) write {
	s := l.socket
	w := write{to: l.Seq(), notMember: l.NotMember()}
	for i := range due {
		e := &due[i]
		if e.joins == s.user.id {
			w.notMember = false
		}
		if f := e.frameFor(s); !w.notMember && s.wants(l.channel, e) {
			if len(w.bytes) > 0 && len(w.bytes)+len(f) > maxWrite {
				return w
			}
			w.bytes = append(w.bytes, f...)
			w.entries++
		}
		if e.leaves == s.user.id {
			w.notMember = true
		}
		w.to = e.seq
	}
	return w
}

// write moves the cursor if the socket accepts the bytes. Called with the channel's mu
// held.
func (l listener) write(w write, counts *writeCounts) bool {
	if len(w.bytes) > 0 {
		if !l.socket.conn.Write(w.bytes) {
			return false
		}
		counts.writes++
		counts.delivered += w.entries
	}
	l.SetSeq(w.to)
	l.SetNotMember(w.notMember)
	return true
}

// dropIfNotMember removes a listener that has caught up if its user is no longer a
// member. Called with the channel's mu held.
func (l listener) dropIfNotMember() {
	if l.NotMember() {
		l.channel.remove(l.subscription)
		l.socket.dropSubscription(l.subscription)
	}
}

// writeCounts counts writes, and the entries in them. They are added to the metrics
// for many writes at a time.
type writeCounts struct{ writes, delivered int }

func (h *Hub) countWrites(c writeCounts) {
	if c.writes > 0 {
		h.config.Metrics.Writes.Add(float64(c.writes))
		h.config.Metrics.Delivered.Add(float64(c.delivered))
	}
}

// sendTransient writes a transient event to the live listeners. Called with mu held.
func (ch *channel) sendTransient(t transient) {
	for i := range ch.listeners.Len() {
		l := ch.listener(i)
		if l.State() == live && !l.Ended() && !(t.skipUser && l.socket.user.id == t.user) {
			l.socket.conn.Write(t.frame)
		}
	}
}
