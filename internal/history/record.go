// Package history records what clients see of a server, and proves that the server kept
// its guarantees: which messages clients sent, what was acknowledged, what arrived, and
// what the database holds at the end. Check goes over it once and reports every broken
// guarantee with its first example.
//
// A record has 48 bytes, in memory and in the file:
//
//	 0  kind     uint8
//	 1  what     uint8    type of the log entry, or reason
//	 2  flags    uint16
//	 4  session  uint32   the session that recorded it: an index into Names
//	 8  at       int64    nanoseconds on one monotonic clock
//	16  seq      int64
//	24  id       [16]byte message, or attempt
//	40  channel  uint32   an index into Channels
//	44  user     uint32   the user of the entry: an index into Names
package history

import "github.com/chowk-chat/chowk/chat"

// Kind is what a record is about.
type Kind uint8

// The kinds. Records of one session are in the order in which they happened.
const (
	// Stored is an entry of the log in the database: seq, what, id (of the message that it
	// creates or changes), user (the author; of member entries, the member).
	Stored Kind = iota + 1
	// InitialMember is a user with whom a channel began.
	InitialMember
	// Began is a channel's head when the session first connected.
	Began
	// Invoked is a change that is about to be requested; id identifies the attempt: of a
	// message, the message. Acked, Refused and Unknown are its answers.
	Invoked
	Acked
	Refused
	Unknown
	// Received is an entry as it came over the wire, Delivered as the client library
	// passed it to the application.
	Received
	Delivered
	// Resumed is a cursor from which the session resumed.
	Resumed
	// Connected is a new connection; id is the epoch's digest.
	Connected
	// Resyncs is a channel that has to be reloaded: seq is where it continues, what the
	// reason.
	Resyncs
	// MembershipEnded is a membership that ended while the session was away.
	MembershipEnded
	// CaughtUp is the moment at which everything that was missed had arrived.
	CaughtUp
	// Barrier is the end of the session's part: nothing more will come.
	Barrier
	// FaultBegins and FaultEnds mark a fault; what identifies it.
	FaultBegins
	FaultEnds
	kinds
)

// What is what an entry of a log does.
type What uint8

// The entries; Other is any other.
const (
	Other What = iota
	Message
	Edit
	Deletion
	Reaction
	ReactionRemoval
	Join
	Leave
	Creation
)

var kindNames = map[chat.EventType]What{
	chat.EventMessage: Message, chat.EventMessageUpdated: Edit, chat.EventMessageDeleted: Deletion,
	chat.EventMessageReaction: Reaction, chat.EventReactionRemoved: ReactionRemoval,
	chat.EventMemberJoined: Join, chat.EventMemberLeft: Leave, chat.EventChannelJoined: Creation,
}

// WhatOf returns the What of an entry's type in the database.
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

// FlagSend marks the Invoked, Acked, Refused and Unknown of a message: its id is the
// one that is stored.
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

// History holds all records: Stored and InitialMember first, then the others by time.
type History struct {
	Channels []chat.ID
	// Names are the users. A session has its user's index, and a user has at most one
	// session.
	Names   []chat.UserID
	Records []Record
}
