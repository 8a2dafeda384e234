package state

import (
	"encoding/binary"
	"hash/fnv"
	"strings"

	"github.com/chowk-chat/chowk/chat"
)

// duplicate answers a change that was committed before, by an attempt that lost its answer.
func (g *Group) duplicate(c *Change) (out Outcome, ok bool) {
	if e := g.Committed[c.ID]; e != nil {
		return g.duplicateChange(c, e), true
	}
	// A message that its author sends again was stored, whatever they may do here now: a
	// refusal would say that it was not.
	m := g.Messages[c.ID]
	if c.Kind == SendMessage && m != nil && m.UserID == c.Actor.User && m.ChannelID == c.ChannelID {
		return duplicateSend(c, m), true
	}
	return Outcome{}, false
}

func (g *Group) duplicateChange(c *Change, e *chat.Entry) Outcome {
	out := Outcome{Entry: e, Duplicate: true}
	if ch := g.Channels[c.ChannelID]; ch != nil {
		copied := ch.Channel
		out.Channel = &copied
	}
	if m := g.Messages[c.MessageID]; m != nil {
		copied := m.Message
		out.Message = &copied
	}
	return out
}

// errOtherMessage refuses a send under the id of another message.
var errOtherMessage = &chat.Error{
	Code: chat.Conflict, Field: "client_id", Message: "This client_id was used for another message",
}

// duplicateSend answers a repeated send with the first one's seq.
func duplicateSend(c *Change, first *Message) Outcome {
	if first.BodyHash != BodyHash(c.Message) {
		return Outcome{Err: errOtherMessage}
	}
	m := first.Message
	return Outcome{
		Entry: &chat.Entry{
			Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt,
			Message: m.Data(),
		},
		Message: &m, Duplicate: true,
	}
}

// BodyHash returns a hash that distinguishes a repeated send from a send of something else
// under the same id. It covers what the sender wrote, so an edit does not change it.
func BodyHash(m *chat.Message) int64 {
	h := fnv.New64a()
	put := func(s string) {
		var n [4]byte
		binary.LittleEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	put(m.Content)
	put(string(m.MessageType))
	if m.ParentMessageID != nil {
		h.Write(m.ParentMessageID[:])
	}
	for _, u := range m.MentionedUserIDs {
		put(string(u))
	}
	if m.FileURL != nil {
		put(*m.FileURL)
	}
	return int64(h.Sum64())
}

// DirectKey returns the key of the direct channel of two users. It is the same in either
// order, so that a second channel is never created.
func DirectKey(a, b chat.UserID) string {
	if b < a {
		a, b = b, a
	}
	return string(a) + "|" + string(b) // no user id contains a bar
}

// DirectPeer returns the other user of the direct channel with this key, or "" if user is not one of its two.
func DirectPeer(key string, user chat.UserID) chat.UserID {
	a, b, _ := strings.Cut(key, "|")
	switch string(user) {
	case a:
		return chat.UserID(b)
	case b:
		return chat.UserID(a)
	default:
		return ""
	}
}
