package hub

import (
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// What follows is command.Live: answered from memory, whatever the database does.

// Typing tells the channel's listeners, but for the user's own sockets.
func (h *Hub) Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	h.typingTracker.note(typist{channel, user}, isTyping, time.Now())
	h.tellTyping(channel, user, isTyping, at)
	h.config.Relay.Typing(channel, user, isTyping, at)
}

// typingExpired is told of somebody who types and has not said so for a while. The
// other nodes notice by themselves.
func (h *Hub) typingExpired(who typist) {
	h.tellTyping(who.channel, who.user, false, chat.TimeOf(h.config.Now()))
}

func (h *Hub) tellTyping(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	h.transient(channel, user, true, chat.TypingFrame{Type: chat.EventTyping, ChannelID: channel, UserID: user, IsTyping: isTyping, Timestamp: at})
}

// PublishReadReceipt tells the channel's listeners how far somebody has read.
func (h *Hub) PublishReadReceipt(r chat.ReadReceiptFrame) {
	h.transient(r.ChannelID, r.UserID, false, r)
	h.config.Relay.PublishReadReceipt(r)
}

func (h *Hub) transient(channel chat.ID, user chat.UserID, quiet bool, frame any) {
	ch := h.lookup(channel)
	if ch == nil {
		return
	}
	kind := chat.EventReadReceipt
	if quiet {
		kind = chat.EventTyping
	}
	ch.putTransient(transient{kind: kind, user: user, quiet: quiet, frame: encodeFrame(frame)})
	h.dirty(ch)
}

// maxOnline bounds the answer to who is online at all.
const maxOnline = 10_000

// Online gives those of the users who have a socket on any node; of nil, everybody
// who has, up to 10,000.
func (h *Hub) Online(users []chat.UserID) []chat.UserID {
	online := h.LocalOnline(users)
	if !h.isAlone() && (users == nil || len(online) < len(users)) {
		online = h.mergeRemote(online, users)
	}
	if users != nil {
		h.said(online)
	}
	return online
}

// mergeRemote asks the other nodes for those of the users who are not online here.
func (h *Hub) mergeRemote(online, users []chat.UserID) []chat.UserID {
	known := make(map[chat.UserID]bool, len(online))
	for _, id := range online {
		known[id] = true
	}
	asked := users
	if users != nil {
		asked = make([]chat.UserID, 0, len(users)-len(online))
		for _, id := range users {
			if !known[id] {
				asked = append(asked, id)
			}
		}
	}
	for _, id := range h.config.Relay.Online(asked) {
		if !known[id] && len(online) < maxOnline {
			known[id] = true
			online = append(online, id)
		}
	}
	return online
}

// IsMember reports what is known here of a connected user's membership.
func (h *Hub) IsMember(channel chat.ID, user chat.UserID) (member, ok bool) {
	sockets := h.socketsOf(user)
	for _, s := range sockets {
		if p := s.pairIn(channel); p != nil && !p.ended() {
			return true, true
		}
	}
	return false, len(sockets) > 0
}
