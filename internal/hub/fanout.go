package hub

import (
	"slices"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// maxWrite bounds the bytes joined into one write, and so what a slow socket
// keeps.
const maxWrite = 32 << 10

// serve brings everyone who is live in the channel level with what was published.
func (h *Hub) serve(ch *channel) {
	if late, empty := h.serveLocked(ch); late != nil {
		h.Publish(late)
	} else if empty {
		h.evict(ch)
	}
}

// serveLocked gives back the events that came to a channel that is gone, for
// whoever took its place, and whether nobody is left to listen.
func (h *Hub) serveLocked(ch *channel) (late []chat.Entry, empty bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.known && !ch.gone {
		return nil, false // whoever learns the head puts the channel back in the queue
	}
	events, overflow, since, traced := ch.take()
	if ch.gone {
		ch.unfollow(0, 0)
		return events, false
	}
	for i := range events {
		ch.append(&events[i])
	}
	ch.beyondGap = max(ch.beyondGap, overflow)
	h.fillGap(ch)
	var plain, packed batch
	level, slow := 0, 0
	for i := ch.listeners.len() - 1; i >= 0; i-- { // backwards: a cursor that ends is replaced by one already served
		if p := ch.listener(i); p.served() && p.cursor() < ch.head {
			b := &plain
			if p.socket.deflate {
				b = &packed
			}
			if h.deliver(p, b) {
				level++
			} else {
				slow++
			}
		}
	}
	h.count(plain.written)
	h.count(packed.written)
	trace := ""
	if traced {
		trace = ch.unfollow(level, slow)
	}
	if !since.IsZero() && ch.listeners.len() > 0 {
		metric.Observe(h.config.Metrics.Lag, h.config.Now().Sub(since).Seconds(), trace)
	}
	transients, wait := ch.takeTransients(time.Now())
	for _, t := range transients {
		h.tell(ch, t)
	}
	if wait {
		h.told.put(ch)
	}
	return nil, ch.listeners.len() == 0
}

// batch remembers the bytes joined for one cursor: most sockets share them.
type batch struct {
	from, to chat.Seq
	bytes    []byte
	entries  int
	specials []chat.UserID // who is sent something else
	written  written
}

// written counts writes, to be added to the metrics once for many.
type written struct{ writes, delivered int }

// writeOne is write for a pair that is served by itself.
func (h *Hub) writeOne(p listener, w write) bool {
	var n written
	ok := h.write(p, w, &n)
	h.count(n)
	return ok
}

func (h *Hub) count(n written) {
	if n.writes > 0 {
		h.config.Metrics.Writes.Add(float64(n.writes))
		h.config.Metrics.Delivered.Add(float64(n.delivered))
	}
}

// deliver writes to a live pair what is due, and leaves it behind when its socket
// takes no more: then it is not level. Afterwards the pair may be another's. Called
// with the channel's mu held.
func (h *Hub) deliver(p listener, b *batch) (level bool) {
	s := p.socket
	for p.cursor() < p.ch.head {
		if b.bytes == nil || b.from != p.cursor() {
			due, ok := p.ch.ring.after(p.cursor())
			if !ok {
				h.fallBehind(p)
				return false
			}
			n := b.written
			*b = join(due, p.cursor(), s.deflate)
			b.written = n
		}
		w := write{bytes: b.bytes, to: b.to, entries: b.entries}
		if s.old || p.notMember() || slices.Contains(b.specials, s.user.id) {
			due, _ := p.ch.ring.after(p.cursor())
			w = p.joinFor(due)
		}
		if !h.write(p, w, &b.written) {
			h.fallBehind(p)
			return false
		}
	}
	h.markCaughtUp(p)
	return true
}

// write is what one socket is sent next of one channel.
type write struct {
	bytes   []byte
	to      chat.Seq // the cursor afterwards
	entries int
	out     bool // whether the user is no member afterwards
}

// write moves the cursor when the socket takes the bytes. Called with the
// channel's mu held.
func (h *Hub) write(p listener, w write, n *written) bool {
	if len(w.bytes) > 0 {
		if !p.socket.conn.Write(w.bytes) {
			return false
		}
		n.writes++
		n.delivered += w.entries
	}
	p.moveTo(w.to)
	p.setNotMember(w.out)
	return true
}

// markCaughtUp ends a cursor whose user is no member of the channel any more. Called
// with the channel's mu held.
func (h *Hub) markCaughtUp(p listener) {
	if p.notMember() {
		p.ch.remove(p.subscription)
		p.socket.dropPair(p.subscription)
	}
}

func (h *Hub) fallBehind(p listener) {
	p.become(behind)
	h.config.Metrics.Behind.Inc()
	// The socket may have drained between the write that failed and the line
	// above; then nobody else will wake it.
	if !p.socket.conn.Backlogged() {
		h.behind.put(p.socket)
	}
}

// join makes one write of entries for everyone who is nobody special.
func join(due []entry, from chat.Seq, deflate bool) batch {
	b := batch{from: from, to: from}
	if len(due) > 0 && (len(due) == 1 || len(due[0].all)+len(due[1].all) > maxWrite) {
		due = due[:1]
		b.bytes = due[0].sharedFrame(deflate) // shared, not copied
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
		if e.user != "" {
			b.specials = append(b.specials, e.user)
		}
		b.to = e.seq
		b.entries++
	}
	return b
}

// joinFor makes one write of entries for one user: his own frames, nothing from
// while he was no member, and for a page of the old system only the messages of
// the channel it shows. Called with the channel's mu held.
func (p listener) joinFor(due []entry) write {
	s := p.socket
	w := write{to: p.cursor(), out: p.notMember()}
	for i := range due {
		e := &due[i]
		if e.joins == s.user.id {
			w.out = false
		}
		if f := e.frameFor(s); !w.out && s.wants(p.ch, e) {
			if len(w.bytes) > 0 && len(w.bytes)+len(f) > maxWrite {
				return w
			}
			w.bytes = append(w.bytes, f...)
			w.entries++
		}
		if e.leaves == s.user.id {
			w.out = true
		}
		w.to = e.seq
	}
	return w
}

// tell writes something transient to whoever can take it. Called with the
// channel's mu held.
func (h *Hub) tell(ch *channel, t transient) {
	for i := range ch.listeners.len() {
		if p := ch.listener(i); p.state() == live && !p.ended() && !(t.quiet && p.socket.user.id == t.user) {
			p.socket.conn.Write(t.frame)
		}
	}
}
