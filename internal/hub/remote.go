package hub

import "github.com/chowk-chat/chowk/chat"

// Relay sends the other nodes' hubs what they must know of this one. What it receives
// from them comes in by ApplyRemote, ApplyJoins, ObserveHeads and the Remote methods
// of Hub, and may be late, repeated or missing. Except for Online its methods never
// wait: they are called with locks held.
type Relay interface {
	// Listen is called when a channel has its first listener here, Unlisten when it
	// has lost its last one.
	Listen(channel chat.ID)
	Unlisten(channel chat.ID)
	Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	PublishReadReceipt(r chat.ReadReceiptFrame)
	// Presence is called when a user has their first socket here or lost their last
	// one.
	Presence(user chat.UserID, online bool)
	// Watch is called when a user has their first watcher here, Unwatch when they have
	// lost their last one.
	Watch(user chat.UserID)
	Unwatch(user chat.UserID)
	// Online returns those of the users who are online on other nodes; for nil, all
	// users who are. It waits a moment for the other nodes.
	Online(users []chat.UserID) []chat.UserID
}

// noRelay is the Relay of a single node.
type noRelay struct{}

func (noRelay) Listen(chat.ID)                               {}
func (noRelay) Unlisten(chat.ID)                             {}
func (noRelay) Typing(chat.ID, chat.UserID, bool, chat.Time) {}
func (noRelay) PublishReadReceipt(chat.ReadReceiptFrame)     {}
func (noRelay) Presence(chat.UserID, bool)                   {}
func (noRelay) Watch(chat.UserID)                            {}
func (noRelay) Unwatch(chat.UserID)                          {}
func (noRelay) Online([]chat.UserID) (online []chat.UserID)  { return nil }

// isSingleNode reports whether there are no other nodes.
func (h *Hub) isSingleNode() bool {
	_, is := h.config.Relay.(noRelay)
	return is
}

// ApplyRemote accepts entries that other nodes committed, in any order and any number
// of times. Missing ones are read from the log. Entries that begin a membership are
// ignored, because the relay does not decide who receives what: see ApplyJoins.
func (h *Hub) ApplyRemote(entries []chat.Entry) {
	for i := range entries {
		ev := &entries[i]
		if len(ev.JoinedUsers()) > 0 {
			continue
		}
		if ch := h.lookup(ev.ChannelID); ch != nil {
			ch.enqueue(*ev)
			h.scheduleFanout(ch)
		}
	}
}

// HasListeners reports whether a channel has listeners on this node.
func (h *Hub) HasListeners(id chat.ID) bool { return h.lookup(id) != nil }

// ApplyJoins subscribes the sockets of users to a channel that they belong to
// according to the database. joined holds the seq at which each membership began, 0
// for initial members, and head is the channel's last seq. Sockets that are
// subscribed already are not affected.
func (h *Hub) ApplyJoins(id chat.ID, head chat.Seq, joined map[chat.UserID]chat.Seq) {
	for user, seq := range joined {
		for _, s := range h.socketsOf(user) {
			h.applyJoin(s, id, head, seq)
		}
	}
	h.ObserveHeads(map[chat.ID]chat.Seq{id: head})
}

func (h *Hub) applyJoin(s *Socket, id chat.ID, head, joined chat.Seq) {
	h.withChannel(id, func(ch *channel) {
		if !ch.headKnown {
			ch.headKnown, ch.head = true, head
		}
		begin := max(joined, 1) // an initial member's membership begins with the first entry
		if s.subscriptionTo(ch) == nil {
			ch.subscribe(s, begin-1, joined, behind)
		}
	})
	h.behind.put(s)
}

// Heads returns the last known seq of each channel that has listeners here.
func (h *Hub) Heads() map[chat.ID]chat.Seq {
	heads := make(map[chat.ID]chat.Seq)
	for i := range h.channels {
		for _, ch := range h.channels[i].all() {
			ch.mu.Lock()
			if ch.headKnown && !ch.gone {
				heads[ch.id] = max(ch.head, ch.beyondGap)
			}
			ch.mu.Unlock()
		}
	}
	return heads
}

// ObserveHeads accepts heads of channels from the database, and has the missing entries
// read from the log. It returns the number of channels that miss entries.
func (h *Hub) ObserveHeads(heads map[chat.ID]chat.Seq) (behind int) {
	for id, head := range heads {
		ch := h.lookup(id)
		if ch == nil {
			continue
		}
		if ch.observeHead(head) {
			behind++
		}
		h.scheduleFanout(ch)
	}
	return behind
}

// RemoteTyping is Typing on another node. If that node dies, the typing expires here
// as well.
func (h *Hub) RemoteTyping(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	if h.lookup(channel) == nil {
		return
	}
	h.typing.note(typist{channel, user}, isTyping)
	h.publishTyping(channel, user, isTyping, at)
}

// RemoteReadReceipt is PublishReadReceipt on another node.
func (h *Hub) RemoteReadReceipt(r chat.ReadReceiptFrame) { h.publishReceipt(r) }
