package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// uncertainDelay is the time before heads are read, and before they are read again
// after an error.
const uncertainDelay = retryDelay

// MarkUncertain accepts channels in which an entry may have been committed without
// being published, because the response to a commit was lost. Their heads are read
// until the database returns them, and missing entries are read from the log.
func (h *Hub) MarkUncertain(ids []chat.ID) {
	for _, id := range ids {
		if h.lookup(id) != nil {
			h.uncertain.Put(id)
		}
	}
}

func (h *Hub) recheckHeads(ids []chat.ID) {
	ctx, cancel := context.WithTimeout(h.ctx, h.config.ReadTimeout)
	defer cancel()
	heads, err := h.config.Store.Heads(ctx, ids)
	if err != nil {
		if h.ctx.Err() == nil {
			h.config.Log.Warn("read channel heads after a commit with an unknown outcome",
				"channels", len(ids), "err", err)
		}
		for _, id := range ids {
			h.uncertain.Put(id)
		}
		return
	}
	h.ObserveHeads(heads)
}
