package client

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

// Resync is the type of an event that the client makes itself: of the channel it
// names, what the application knows does not lead on to what follows. Everything
// up to and including Seq is to be loaded again; the events after Seq follow.
const Resync chat.EventType = "resync"

// Reason says why a channel is to be loaded again.
type Reason string

// The reasons of a Resync.
const (
	// ReasonEpoch: the server's history is another one: its database was restored,
	// or a fail-over lost commits.
	ReasonEpoch Reason = "epoch"
	// ReasonAhead: the client has seen more of the channel than the server has.
	ReasonAhead Reason = "ahead"
	// ReasonHistory: the server no longer keeps the changes since then.
	ReasonHistory Reason = "history"
	// ReasonJoined: the user became a member while the client was away.
	ReasonJoined Reason = "joined"
)

// Event is what the server tells. Which fields are set depends on Type.
//
// An event with a Seq is an entry of its channel's log: Next returns each once, in
// order, without a hole. Only a chat.EventChannelJoined may leap: of a user who was
// removed and taken back, it begins the channel again, and what came before is to be
// loaded. An event without Seq is a latest state (typing, presence, a
// receipt) of which only the newest counts; or a chat.EventChannelLeft for a
// membership that ended while the client was away.
type Event struct {
	Type      chat.EventType    `json:"type"`
	ChannelID chat.ID           `json:"channel_id,omitzero"`
	Seq       chat.Seq          `json:"seq,omitzero"`
	Timestamp chat.Time         `json:"timestamp,omitzero"`
	UserID    chat.UserID       `json:"user_id,omitzero"`
	Message   *chat.MessageData `json:"data,omitzero"` // of a message

	MessageID     chat.ID `json:"message_id,omitzero"` // of a change to a message, and of a receipt
	Content       string  `json:"content,omitzero"`    // of message_updated
	Emoji         string  `json:"emoji,omitzero"`
	ReactionCount int64   `json:"reaction_count,omitzero"`

	Role    chat.Role     `json:"role,omitzero"`    // of member_joined and member_updated
	Channel *chat.Channel `json:"channel,omitzero"` // of channel_joined and channel_updated

	IsTyping    bool      `json:"is_typing,omitzero"`
	IsOnline    bool      `json:"is_online,omitzero"` // of presence
	LastSeen    chat.Time `json:"last_seen,omitzero"` // of presence
	LastReadSeq chat.Seq  `json:"last_read_seq,omitzero"`

	Reason Reason `json:"-"` // of Resync
}

// incoming is any frame of the server's.
type incoming struct {
	Event
	Response jsontext.Value `json:"response"`
	ID       string         `json:"id"`
	About    string         `json:"event"` // the kind of request that an ack or an error answers

	ChannelIDs       []chat.ID `json:"channel_ids"`
	Code             string    `json:"code"`
	Text             string    `json:"message"`
	Field            string    `json:"field"`
	RetryAfterMS     int64     `json:"retry_after_ms"`
	ReconnectAfterMS int64     `json:"reconnect_after_ms"`
}
