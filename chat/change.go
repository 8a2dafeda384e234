package chat

import (
	"encoding/binary"
	"hash/fnv"
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
	ID        ID
	ChannelID ID
	Actor     UserID
	At        Time
	// Allowed are the roles that the actor may have for this, looked at in the
	// transaction that commits the change. With OrAuthor, the message's author
	// may as well, as long as he is a member.
	Allowed  Roles
	OrAuthor bool

	// SendMessage, and the other message changes by MessageID.
	Message   *Message
	MessageID ID
	Content   string
	Emoji     string

	// AddMember, RemoveMember, UpdateMember.
	Subject UserID
	Role    Role

	// UpdateChannel and CreateChannel.
	Patch   ChannelPatch
	Channel *Channel
	// Members are the first members of a new channel.
	Members []Founder
	// DirectKey is the same for both users of a direct channel, so that a second
	// one is never made.
	DirectKey string
}

// Founder is a member with whom a channel starts.
type Founder struct {
	UserID UserID
	Role   Role
}

// Outcome is what became of a change.
type Outcome struct {
	// Err refuses the change: an *Error for its actor. Nothing was stored.
	Err error
	// Event is the log entry made; for a duplicate send the first one's; nil when
	// there was nothing to do (a reaction that was there already).
	Event *Event
	// Duplicate says that the change had been committed before, so that nobody is
	// to be told again.
	Duplicate bool
	// Message and Channel are as the commit left them, where the change concerns
	// one.
	Message *Message
	Channel *Channel
}

// DirectKey is the key of the direct channel of two users, in either order.
func DirectKey(a, b UserID) string {
	if b < a {
		a, b = b, a
	}
	return string(a) + "|" + string(b) // no user id holds a bar
}

// BodyHash tells a repeated send from a send of something else under the same id.
// It covers what the sender wrote, so it does not change when the message is
// edited.
func (m *Message) BodyHash() int64 {
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
	ChannelID ID
	UserID    UserID
	// Seq is how far; MessageID names the message instead when Seq is 0. Neither
	// means all there is.
	Seq       Seq
	MessageID ID
	At        Time
	// Ordinal is that of the message at Seq, where it is known because the reader
	// has just sent it; nobody waits to be told what became of such a Read.
	Ordinal int64
}

// ReadOutcome is what became of a Read. A cursor never moves backwards, so
// LastReadSeq may be beyond what was asked.
type ReadOutcome struct {
	Err         error
	LastReadSeq Seq
	MessageID   ID // the newest message at or before LastReadSeq, zero when none
	UnreadCount int64
	Moved       bool // false when the user had read that far before
}
