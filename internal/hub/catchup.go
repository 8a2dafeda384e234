package hub

import (
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// catchUp serves the subscriptions of a socket that are behind, until they have caught
// up or the socket accepts no more. Once the socket has drained, it is queued again.
func (h *Hub) catchUp(s *Socket) {
	for _, sub := range s.subscriptions() {
		l := listener{sub, s}
		for more := true; more; {
			var err error
			if more, err = h.advance(l); err != nil {
				if h.ctx.Err() == nil && !s.isClosed() {
					h.config.Log.Warn("read the log for a socket that fell behind", "channel", sub.channel.id, "err", err)
					h.retryLater(func() { h.behind.put(s) })
				}
				return
			}
		}
		if s.conn.Backlogged() {
			return
		}
	}
	h.presence.refresh(s)
}

// retryDelay is the time before the database is read again after an error.
const retryDelay = 250 * time.Millisecond

func (h *Hub) retryLater(f func()) {
	h.done.Go(func() { // ends after the delay, or with the hub
		if async.Sleep(h.ctx, retryDelay) {
			f()
		}
	})
}

// advance makes one write to a listener that is behind. It reports whether there may
// be more to do now.
func (h *Hub) advance(l listener) (more bool, err error) {
	due, from, head, ok := l.dueFromRing()
	if !ok {
		return false, nil
	}
	if due == nil {
		if due, err = h.pages.after(l.channel.id, from, head); err != nil {
			if e := chat.AsError(err); e.Code == chat.Resync {
				return h.resync(l, from, e.Message), nil
			}
			return false, err
		}
		read := len(due)
		if due = withoutGap(due, from); len(due) == 0 && (read > 0 || pageEnd(from) < head) {
			h.config.Log.Warn("a client must reload a channel: entries are missing from the database",
				"channel", l.channel.id, "after", from)
			return h.resync(l, from, missingMessage), nil
		}
		if len(due) == 0 {
			// The entries were deleted just now, or a replica is late. The next entry of
			// the channel tries again.
			return false, nil
		}
	}
	return h.writeBehind(l, due, from), nil
}

// writeBehind writes entries after from to a listener that is behind, unless it has
// changed meanwhile. It reports whether there may be more to do now.
func (h *Hub) writeBehind(l listener, due []entry, from chat.Seq) (more bool) {
	ch := l.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !l.isBehindAt(from) || l.Held() {
		return false
	}
	if !h.writeAlone(l, l.joinPersonal(due)) {
		return !l.socket.conn.Backlogged()
	}
	if l.Seq() < ch.head {
		return true
	}
	// What was read from the log may be beyond what was published here. The fan-out
	// skips what the cursor has passed.
	l.SetState(live)
	h.config.Metrics.CaughtUp.Inc()
	l.dropIfNotMember()
	return false
}

// writeAlone is write for one listener by itself.
func (h *Hub) writeAlone(l listener, w write) bool {
	var counts writeCounts
	ok := l.write(w, &counts)
	h.countWrites(counts)
	return ok
}

// isBehindAt reports whether the subscription is behind and its cursor is at seq.
// Called with the channel's mu held.
func (sub *subscription) isBehindAt(seq chat.Seq) bool {
	return sub.State() == behind && sub.Seq() == seq && sub.isListening()
}

const missingMessage = "Entries of this channel are missing on the server. Reload the channel."

// withoutGap returns the entries that follow seq without a gap. The log has no gaps
// except where an operator deleted rows.
func withoutGap(due []entry, seq chat.Seq) []entry {
	for i := range due {
		if seq++; due[i].seq != seq {
			return due[:i]
		}
	}
	return due
}

// resync sends the client a resync of the channel, because the log does not reach back
// to its cursor at from, and moves the cursor to the head. It reports whether there
// may be more to do now.
func (h *Hub) resync(l listener, from chat.Seq, message string) (more bool) {
	ch := l.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !l.isBehindAt(from) {
		return false
	}
	frame := encodeFrame(chat.ResyncFrame(message, chat.TimeOf(h.config.Now()), ch.id))
	if !h.writeAlone(l, write{bytes: frame, to: max(ch.head, l.Seq()), notMember: l.Ended()}) {
		return !l.socket.conn.Backlogged()
	}
	h.config.Metrics.Resyncs.Inc()
	l.SetState(live)
	l.dropIfNotMember()
	return false
}

// dueFromRing returns the entries that the subscription is to be sent next, which
// follow from. They are nil when they must be read from the log, which reaches head.
// ok is false when the subscription is not behind or must not be served.
func (sub *subscription) dueFromRing() (due []entry, from, head chat.Seq, ok bool) {
	ch := sub.channel
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if sub.State() != behind || sub.Held() || !sub.isListening() {
		return nil, 0, 0, false
	}
	if sub.Seq() >= ch.head {
		sub.SetState(live)
		return nil, 0, 0, false
	}
	due, ok = ch.ring.after(sub.Seq())
	if !ok {
		return nil, sub.Seq(), ch.head, true
	}
	return append([]entry(nil), due...), sub.Seq(), ch.head, true
}
