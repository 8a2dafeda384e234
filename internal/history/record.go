// Package history is what clients saw of a server, and the proof that it kept its
// promises: which messages they sent, what was acknowledged, what arrived, beside
// what the database holds in the end. Check goes over it once and names every
// promise that was broken, with the first example of each.
//
// A record has 48 bytes, in memory and in the file:
//
//	 0  kind     uint8
//	 1  what     uint8    type of the log entry, or reason
//	 2  flags    uint16
//	 4  session  uint32   who saw it: an index into Names
//	 8  at       int64    nanoseconds on one monotonic clock
//	16  seq      int64
//	24  id       [16]byte message, or attempt
//	40  channel  uint32   an index into Channels
//	44  user     uint32   whom it is about: an index into Names
package history

import "github.com/chowk-chat/chowk/chat"

// Kind says what a record is about.
type Kind uint8

// The kinds. Those of one session are in the order in which they happened there.
const (
	// Stored is an entry of the log as the database has it: seq, what, id (of the
	// message it makes or changes), user (who did it, of member entries whom it is
	// about).
	Stored Kind = iota + 1
	// Founder is a user with whom a channel started.
	Founder
	// Began is a channel's head when the session first connected.
	Began
	// Invoked is a change that is about to be asked for; id names the attempt: of
	// a message, the message. Acked, Refused and Unknown are its answers.
	Invoked
	Acked
	Refused
	Unknown
	// Received is an entry as it came over the wire, Delivered as the client library
	// gave it to the application.
	Received
	Delivered
	// Resumed is a cursor from which the session asked to go on.
	Resumed
	// Connected is a new connection, id the epoch's digest.
	Connected
	// Resyncs is a channel that is to be loaded again: seq is where it goes on, what
	// the reason.
	Resyncs
	// Parted is a membership that ended while the session was away.
	Parted
	// Level is the moment at which all that was missed had arrived.
	Level
	// Barrier is the end of the session's part: nothing more is to come.
	Barrier
	// FaultBegins and FaultEnds say when something was broken; what says what.
	FaultBegins
	FaultEnds
	kinds
)

// What says what an entry of a log does.
type What uint8

// The entries, and with Other whatever else there may be.
const (
	Other What = iota
	Message
	Edit
	Deletion
	Reaction
	Unreaction
	Joins
	Leaves
	Founds
)

var kindNames = map[chat.EventType]What{
	chat.EventMessage: Message, chat.EventMessageUpdated: Edit, chat.EventMessageDeleted: Deletion,
	chat.EventMessageReaction: Reaction, chat.EventReactionRemoved: Unreaction,
	chat.EventMemberJoined: Joins, chat.EventMemberLeft: Leaves, chat.EventChannelJoined: Founds,
}

// WhatOf is the entry of an event type as the store names it.
func WhatOf(t chat.EventType) What { return kindNames[t] }

func (w What) String() string {
	for t, v := range kindNames {
		if v == w {
			return string(t)
		}
	}
	return "another entry"
}

// Reasons of Resyncs.
const (
	ReasonEpoch What = iota + 1
	ReasonAhead
	ReasonHistory
	ReasonJoined
)

// FlagSend marks the Invoked, Acked, Refused and Unknown of a message: its id is
// the one that is stored.
const FlagSend uint16 = 1

// Record is one thing that happened.
type Record struct {
	Kind    Kind
	What    What
	Flags   uint16
	Session uint32
	At      int64
	Seq     chat.Seq
	ID      chat.ID
	Channel uint32
	User    uint32
}

// History is all records: Stored and Founder first, then the others by their time.
type History struct {
	Channels []chat.ID
	// Names are the users; a session is its user's index, and a user has at most
	// one session.
	Names   []chat.UserID
	Records []Record
}
