package hub

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/trace"
)

// tracedEntry is an entry whose fan-out is traced.
type tracedEntry struct {
	seq  chat.Seq
	span trace.Span
}

// maxTraced bounds the traced entries of a channel.
const maxTraced = 64

// TraceFanout ends the span when the entry has been written to the listeners that
// have caught up. It is called before the entry is published.
func (h *Hub) TraceFanout(id chat.ID, seq chat.Seq, span trace.Span) {
	ch := h.lookup(id)
	if ch == nil {
		span.Delivered(0, 0)
		return
	}
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.traced) == maxTraced {
		span.End()
		return
	}
	in.traced = append(in.traced, tracedEntry{seq, span})
}

// endTraces ends the spans of the entries up to the head, all of them if the channel
// is gone. It returns the id of one of the traces, "" for none. Called with mu held.
func (ch *channel) endTraces(written, behind int) (id string) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.traced) == 0 {
		return ""
	}
	in.traced = slices.DeleteFunc(in.traced, func(t tracedEntry) bool {
		if t.seq > ch.head && !ch.gone {
			return false
		}
		id = t.span.ID()
		t.span.Delivered(written, behind)
		return true
	})
	if len(in.traced) == 0 {
		in.traced = nil
	}
	return id
}
