// Package state is what a change to a channel means: the changes that commands make
// and the outcomes of committing them.
package state

import (
	"encoding/binary"
	"hash/fnv"

	"github.com/chowk-chat/chowk/chat"
)

// ChangeKind is what a change does to its channel.
type ChangeKind uint8

// The kinds of change. Each that takes effect becomes one entry of the channel's
// log, with a seq of its own.
const (
	CreateChannel ChangeKind = iota + 1
	SendMessage
	EditMessage
	DeleteMessage
	AddReaction
	RemoveReaction
	AddMember
	RemoveMember
	UpdateMember
	UpdateChannel
)

// Change is something a user wants done to a channel. The rules make it, the
// journal gathers it with others, the store commits it.
type Change struct {
	Kind ChangeKind
	// ID makes the change idempotent: the same change committed twice takes effect
	// once. A message's id for SendMessage, a channel's for CreateChannel.
	ID        chat.ID
	ChannelID chat.ID
	Actor     chat.UserID
	At        chat.Time
	// Allowed are the roles that the actor may have for this, looked at in the
	// transaction that commits the change. With AllowAuthor, the message's author
	// may as well, as long as he is a member.
	Allowed     chat.Roles
	AllowAuthor bool

	// SendMessage, and the other message changes by MessageID.
	Message   *chat.Message
	MessageID chat.ID
	Content   string
	Emoji     string

	// AddMember, RemoveMember, UpdateMember.
	Subject chat.UserID
	Role    chat.Role

	// UpdateChannel and CreateChannel.
	Patch   chat.ChannelPatch
	Channel *chat.Channel
	// Members are the first members of a new channel.
	Members []InitialMember
	// DirectKey is the same for both users of a direct channel, so that a second
	// one is never made.
	DirectKey string
}

// InitialMember is a member with whom a channel starts.
type InitialMember struct {
	UserID chat.UserID
	Role   chat.Role
}

// Outcome is what became of a change.
type Outcome struct {
	// Err refuses the change: an *Error for its actor. Nothing was stored.
	Err error
	// Entry is the log entry made; for a duplicate send the first one's; nil when
	// there was nothing to do (a reaction that was there already).
	Entry *chat.Entry
	// Duplicate says that the change had been committed before, so that nobody is
	// to be told again.
	Duplicate bool
	// Message and Channel are as the commit left them, where the change concerns
	// one.
	Message *chat.Message
	Channel *chat.Channel
}

// DirectKey is the key of the direct channel of two users, in either order.
func DirectKey(a, b chat.UserID) string {
	if b < a {
		a, b = b, a
	}
	return string(a) + "|" + string(b) // no user id holds a bar
}

// BodyHash tells a repeated send from a send of something else under the same id.
// It covers what the sender wrote, so it does not change when the message is
// edited.
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

// Read says how far a user has read a channel.
type Read struct {
	ChannelID chat.ID
	UserID    chat.UserID
	// Seq is how far; MessageID names the message instead when Seq is 0. Neither
	// means all there is.
	Seq       chat.Seq
	MessageID chat.ID
	At        chat.Time
	// Ordinal is that of the message at Seq, where it is known because the reader
	// has just sent it; nobody waits to be told what became of such a Read.
	Ordinal int64
}

// ReadResult is what became of a Read. A cursor never moves backwards, so
// LastReadSeq may be beyond what was asked.
type ReadResult struct {
	Err         error
	LastReadSeq chat.Seq
	MessageID   chat.ID // the newest message at or before LastReadSeq, zero when none
	UnreadCount int64
	Moved       bool // false when the user had read that far before
}
