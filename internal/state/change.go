// Package state decides what a change to a channel means: who may make it, which rows and
// counters it alters, and which entry of the channel's log it becomes. It is pure: it knows
// no SQL, no context and no clock. Its caller loads the rows that [Group.Needs] lists, calls
// [Group.Decide] and stores the [Effects].
//
// A kind of change is a constant here, a line in the table kinds and a function that applies
// it.
package state

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// ChangeKind is what a change does to its channel. The zero value is invalid.
type ChangeKind uint8

// The kinds of change. Each change that takes effect becomes one entry of the channel's log,
// with a seq of its own.
const (
	CreateChannel ChangeKind = iota + 1
	SendMessage
	EditMessage
	DeleteMessage
	AddReaction
	RemoveReaction
	PinMessage
	UnpinMessage
	AddMember
	RemoveMember
	UpdateMember
	UpdateChannel
	endOfKinds // new kinds stand above this line
)

// Change is something that an actor wants done to a channel. Commands create it, the journal
// collects it with others, the store commits it.
type Change struct {
	Kind ChangeKind
	// ID makes the change idempotent: the same change committed twice takes effect once. It
	// is the message's id for SendMessage and the channel's for CreateChannel.
	ID        chat.ID
	ChannelID chat.ID
	Actor     model.Actor
	At        chat.Time

	// Message is the new message of a SendMessage.
	Message *chat.Message
	// MessageID names the message that the change is about. Content is its new content, Emoji
	// the reaction.
	MessageID chat.ID
	Content   string
	Emoji     string

	// Subject is the member that an AddMember, RemoveMember or UpdateMember is about, and
	// Role their new role.
	Subject chat.UserID
	Role    chat.Role

	// Patch is for UpdateChannel.
	Patch chat.ChannelPatch
	// Channel, Members and DirectKey are for CreateChannel. Members are the first members.
	Channel *chat.Channel
	Members []InitialMember
	// DirectKey is "" except for a direct channel: see [DirectKey].
	DirectKey string
}

// InitialMember is a member with whom a channel starts.
type InitialMember struct {
	UserID chat.UserID
	Role   chat.Role
}

// Outcome is the result of a change.
type Outcome struct {
	// Err refuses the change: a *chat.Error for its actor. Nothing was stored.
	Err error
	// Entry is the log entry that the change became. For a duplicate send it is the first
	// one's. It is nil when there was nothing to do, such as for a reaction that was already
	// there.
	Entry *chat.Entry
	// Duplicate reports that the change had been committed before, so it is not published
	// again.
	Duplicate bool
	// Message and Channel are as the commit left them, when the change concerns one.
	Message *chat.Message
	Channel *chat.Channel
}
