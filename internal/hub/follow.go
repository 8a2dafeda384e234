package hub

import (
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/trace"
)

// followed is an entry whose fan-out is traced.
type followed struct {
	seq  chat.Seq
	span trace.Span
}

// maxFollowed bounds those of a channel.
const maxFollowed = 64

// Follow ends the span when the entry has been written to everybody here who is
// level. It is called before the entry is published.
func (h *Hub) Follow(id chat.ID, seq chat.Seq, span trace.Span) {
	ch := h.lookup(id)
	if ch == nil {
		span.Told(0, 0)
		return
	}
	ch.inbox.mu.Lock()
	defer ch.inbox.mu.Unlock()
	if len(ch.inbox.followed) == maxFollowed {
		span.End()
		return
	}
	ch.inbox.followed = append(ch.inbox.followed, followed{seq, span})
}

// unfollow ends the spans of the entries up to head, and gives the id of one of their
// traces, "" when there is none. Those of a channel that is gone end as well.
// Called with the channel's mu held.
func (ch *channel) unfollow(written, behind int) (id string) {
	ch.inbox.mu.Lock()
	defer ch.inbox.mu.Unlock()
	if len(ch.inbox.followed) == 0 {
		return ""
	}
	ch.inbox.followed = slices.DeleteFunc(ch.inbox.followed, func(f followed) bool {
		if f.seq > ch.head && !ch.gone {
			return false
		}
		id = f.span.ID()
		f.span.Told(written, behind)
		return true
	})
	if len(ch.inbox.followed) == 0 {
		ch.inbox.followed = nil
	}
	return id
}
