package client

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

// Resync is the type of an event that the client itself creates: what the application
// knows of the channel does not connect with what follows. Load everything up to and
// including Seq again; the events after Seq follow.
const Resync chat.EventType = "resync"

// Reason is why a channel must be loaded again.
type Reason string

// The reasons of a Resync.
const (
	// ReasonEpoch: the server has another history, because its database was restored or
	// a failover lost commits.
	ReasonEpoch Reason = "epoch"
	// ReasonAhead: the client has received more of the channel than the server has.
	ReasonAhead Reason = "ahead"
	// ReasonHistory: the server no longer keeps the changes since then.
	ReasonHistory Reason = "history"
	// ReasonJoined: the user became a member while the client was away.
	ReasonJoined Reason = "joined"
)

// Event is what the server sends, except answers. Which fields are set depends on Type.
//
// An event with a Seq is an entry of its channel's log: Next returns each once, in
// order, without a gap. Only a chat.EventChannelJoined may skip seqs: for a user who
// was removed and added again, it starts the channel over, and what came before must
// be loaded. An event without a Seq is either a latest state (typing, presence, a
// receipt), which a newer one replaces, or a chat.EventChannelLeft for a membership
// that ended while the client was away.
type Event struct {
	chat.Entry

	IsTyping    bool      `json:"is_typing,omitzero"`     // for typing
	IsOnline    bool      `json:"is_online,omitzero"`     // for presence
	LastSeen    chat.Time `json:"last_seen,omitzero"`     // for presence
	LastReadSeq chat.Seq  `json:"last_read_seq,omitzero"` // for read_receipt

	Reason Reason `json:"-"` // for Resync
}

// resyncEvent returns the event for a channel that must be loaded again up to seq.
func resyncEvent(channel chat.ID, seq chat.Seq, at chat.Time, reason Reason) Event {
	return Event{Entry: chat.Entry{Type: Resync, ChannelID: channel, Seq: seq, At: at}, Reason: reason}
}

// leftEvent returns the event for a membership that ended while the client was away.
func leftEvent(channel chat.ID, at chat.Time) Event {
	return Event{Entry: chat.Entry{Type: chat.EventChannelLeft, ChannelID: channel, At: at}}
}

// incoming is anything that the server sends.
type incoming struct {
	Event
	Response jsontext.Value `json:"response"`
	ID       string         `json:"id"`
	About    string         `json:"event"` // the type of the command that an ack or an error answers

	ChannelIDs       []chat.ID `json:"channel_ids"`
	Code             string    `json:"code"`
	Text             string    `json:"message"`
	Field            string    `json:"field"`
	RetryAfterMS     int64     `json:"retry_after_ms"`
	ReconnectAfterMS int64     `json:"reconnect_after_ms"`
}
