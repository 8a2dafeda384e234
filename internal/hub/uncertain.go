package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// doubtDelay is how soon heads are looked at, and looked at again when the
// database could not be asked.
const doubtDelay = retryDelay

// Doubt is told of channels in which something may have been committed that nobody
// published: a commit whose answer was lost. Their heads are read until the
// database gives them, and what is missing is filled from the log.
func (h *Hub) Doubt(ids []chat.ID) {
	for _, id := range ids {
		if h.lookup(id) != nil {
			h.doubts.put(id)
		}
	}
}

func (h *Hub) recheckHeads(ids []chat.ID) {
	ctx, cancel := context.WithTimeout(h.ctx, h.config.ReadTimeout)
	defer cancel()
	heads, err := h.config.Store.Heads(ctx, ids)
	if err != nil {
		if h.ctx.Err() == nil {
			h.config.Log.Warn("read the heads of channels after a commit whose fate is unknown", "channels", len(ids), "err", err)
		}
		for _, id := range ids {
			h.doubts.put(id)
		}
		return
	}
	for id, head := range heads {
		if ch := h.lookup(id); ch != nil {
			ch.learn(head)
			h.dirty(ch)
		}
	}
}
