package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// gapFillers returns the number of gaps that are filled at a time. With other nodes
// every channel may have one, when the relay loses what they send.
func (h *Hub) gapFillers() int {
	if h.isSingleNode() {
		return 1
	}
	return 4
}

// fillGap has the channel's gap filled from the log, if it has one: at once, or after
// the missing entries have had time to arrive. Called with the channel's mu held.
func (h *Hub) fillGap(ch *channel) {
	switch {
	case ch.beyondGap <= ch.head:
	case len(ch.outOfOrder) > 0:
		h.newGaps.Put(ch)
	default:
		h.gaps.put(ch)
	}
}

// readGap reads missing entries from the log: entries that another node committed, or
// that came faster than the fan-out could serve them.
func (h *Hub) readGap(ch *channel) {
	ch.mu.Lock()
	from, to := ch.head, ch.beyondGap
	ch.mu.Unlock()
	if to <= from {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.config.ReadTimeout)
	entries, err := h.config.Store.LogTo(ctx, ch.id, from, logPage, to)
	if err == nil && len(entries) == 0 {
		to, err = h.clampToHead(ctx, ch.id, to)
	}
	cancel()
	if err != nil {
		if h.ctx.Err() == nil {
			h.config.Log.Warn("read missing entries from the log", "channel", ch.id, "err", err)
			h.retryLater(func() { h.gaps.put(ch) })
		}
		return
	}
	h.config.Metrics.GapFills.Inc()
	ch.closeGap(entries, from, to)
	h.scheduleFanout(ch)
}

// closeGap appends what the log has after from, where a gap began that reached to.
func (ch *channel) closeGap(entries []chat.Entry, from, to chat.Seq) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for i := range entries {
		ch.skipTo(entries[i].Seq - 1)
		ch.append(&entries[i])
	}
	switch {
	case len(entries) > 0:
	case to > from+logPage:
		ch.skipTo(from + logPage)
	default:
		ch.beyondGap, ch.outOfOrder = ch.head, nil // there is no entry beyond the gap
	}
}

// clampToHead returns seq, or the channel's head in the database if that is less:
// another node may have claimed an entry that does not exist.
func (h *Hub) clampToHead(ctx context.Context, id chat.ID, seq chat.Seq) (chat.Seq, error) {
	heads, err := h.config.Store.Heads(ctx, []chat.ID{id})
	return min(seq, heads[id]), err
}
