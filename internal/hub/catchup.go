package hub

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// catchUp serves the cursors of a socket that are behind, until they are level or
// the socket takes no more; its draining then puts it in the queue again.
func (h *Hub) catchUp(s *Socket) {
	for _, p := range s.snapshot() {
		p := listener{p, s}
		for {
			more, err := h.advance(p)
			if err != nil {
				if h.ctx.Err() == nil && !s.isClosed() {
					h.config.Log.Warn("read a channel's log for a socket that is behind", "channel", p.ch.id, "err", err)
					h.retryLater(func() { h.behind.put(s) })
				}
				return
			}
			if !more {
				break
			}
		}
		if s.conn.Backlogged() {
			return
		}
	}
	h.presence.refresh(s)
}

// retryDelay is how long to wait after the log could not be read.
const retryDelay = 250 * time.Millisecond

func (h *Hub) retryLater(f func()) {
	h.done.Go(func() { // ends after the delay, or with the hub
		t := time.NewTimer(retryDelay)
		defer t.Stop()
		select {
		case <-t.C:
			f()
		case <-h.ctx.Done():
		}
	})
}

// advance makes one write for a pair that is behind; more is false when there is
// nothing more to do for now.
func (h *Hub) advance(p listener) (more bool, err error) {
	due, from, head, ok := p.due()
	if !ok {
		return false, nil
	}
	if due == nil {
		due, err = h.pages.after(p.ch.id, from, head)
		if e := chat.AsError(err); err != nil && e.Code == chat.Resync {
			return h.giveUp(p, from, e.Message), nil
		}
		if err != nil {
			return false, err
		}
		before := len(due)
		if due = withoutHole(due, from); len(due) == 0 && (before > 0 || pageEnd(from) < head) {
			h.config.Log.Warn("a client is told to load a channel again: entries are missing in the database", "channel", p.ch.id, "after", from)
			return h.giveUp(p, from, lostMessage), nil
		}
		if len(due) == 0 {
			return false, nil // deleted under us, or a replica of the log that is late: the next event tries again
		}
	}
	p.ch.mu.Lock()
	defer p.ch.mu.Unlock()
	if p.state() != behind || p.held() || p.cursor() != from || p.place() < 0 {
		return false, nil
	}
	if !h.writeOne(p, p.joinFor(due)) {
		return !p.socket.conn.Backlogged(), nil
	}
	if p.cursor() < p.ch.head {
		return true, nil
	}
	// What was read from the log may be ahead of what was published here: the
	// fan-out skips what the cursor has passed.
	p.become(live)
	h.config.Metrics.CaughtUp.Inc()
	h.markCaughtUp(p)
	return false, nil
}

const lostMessage = "The server has lost entries of this channel. Load it again."

// withoutHole gives what follows seq without a hole. The log has none but where
// somebody deleted rows.
func withoutHole(due []entry, seq chat.Seq) []entry {
	for i := range due {
		if seq++; due[i].seq != seq {
			return due[:i]
		}
	}
	return due
}

// giveUp tells the client to load the channel again, because the log does not reach
// back to its cursor, and goes on from the head. It reports whether there is more
// to do.
func (h *Hub) giveUp(p listener, from chat.Seq, why string) (more bool) {
	p.ch.mu.Lock()
	defer p.ch.mu.Unlock()
	if p.state() != behind || p.cursor() != from || p.place() < 0 {
		return false
	}
	told := encodeFrame(chat.ResyncFrame(why, chat.TimeOf(h.config.Now()), p.ch.id))
	if !h.writeOne(p, write{bytes: told, to: max(p.ch.head, p.cursor()), out: p.ended()}) {
		return !p.socket.conn.Backlogged()
	}
	h.config.Metrics.Resyncs.Inc()
	p.become(live)
	h.markCaughtUp(p)
	return false
}

// due gives the entries from the ring that the pair is to be sent, nil when they
// must be read from the log, which goes to head; ok is false when the pair is not
// behind.
func (p *subscription) due() (entries []entry, from, head chat.Seq, ok bool) {
	ch := p.ch
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if p.state() != behind || p.held() || p.place() < 0 {
		return nil, 0, 0, false
	}
	if p.cursor() >= ch.head {
		p.become(live)
		return nil, 0, 0, false
	}
	entries, ok = ch.ring.after(p.cursor())
	if !ok {
		return nil, p.cursor(), ch.head, true
	}
	return append([]entry(nil), entries...), p.cursor(), ch.head, true
}

// fillers is how many holes are filled at a time. With other nodes there can be one
// in every channel, when nothing comes from them.
func (h *Hub) fillers() int {
	if h.isAlone() {
		return 1
	}
	return 4
}

// fillGap has a hole filled, at once or when what is missing had time to come by
// itself. Called with the channel's mu held.
func (h *Hub) fillGap(ch *channel) {
	switch {
	case ch.beyondGap <= ch.head:
	case len(ch.outOfOrder) > 0:
		h.holes.put(ch)
	default:
		h.gaps.put(ch)
	}
}

// fill reads the entries of a hole: some that were published elsewhere, or that
// came faster than the fan-out could take them.
func (h *Hub) fill(ch *channel) {
	ch.mu.Lock()
	from, ahead := ch.head, ch.beyondGap
	ch.mu.Unlock()
	if ahead <= from {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.config.ReadTimeout)
	events, err := h.config.Store.LogTo(ctx, ch.id, from, logPage, ahead)
	if err == nil && len(events) == 0 {
		ahead, err = h.atMost(ctx, ch.id, ahead)
	}
	cancel()
	if err != nil {
		if h.ctx.Err() == nil {
			h.config.Log.Warn("read the log for entries that were missed", "channel", ch.id, "err", err)
			h.retryLater(func() { h.gaps.put(ch) })
		}
		return
	}
	h.config.Metrics.GapFills.Inc()
	ch.mu.Lock()
	for i := range events {
		ch.pass(events[i].Seq - 1)
		ch.append(&events[i])
	}
	if len(events) == 0 && ahead > from+logPage {
		ch.pass(from + logPage)
	} else if len(events) == 0 {
		ch.beyondGap, ch.outOfOrder = ch.head, nil // whoever told of it was wrong
	}
	ch.mu.Unlock()
	h.dirty(ch)
}

// atMost corrects what somebody said of a channel's head, who need not be right.
func (h *Hub) atMost(ctx context.Context, id chat.ID, said chat.Seq) (chat.Seq, error) {
	heads, err := h.config.Store.Heads(ctx, []chat.ID{id})
	return min(said, heads[id]), err
}
