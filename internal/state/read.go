package state

import "github.com/chowk-chat/chowk/chat"

// Read moves a user's read cursor in a channel.
type Read struct {
	ChannelID chat.ID
	UserID    chat.UserID
	// Seq is the new position. When it is 0, MessageID names the message instead; when both
	// are zero, everything is read.
	Seq       chat.Seq
	MessageID chat.ID
	At        chat.Time
	// Ordinal is that of the message at Seq. It is set when the reader has just sent that
	// message; nothing waits for the result of such a Read.
	Ordinal int64
}

// ReadResult is the result of a Read. A cursor never moves backwards, so LastReadSeq may be
// greater than the position that was requested.
type ReadResult struct {
	Err         error
	LastReadSeq chat.Seq
	MessageID   chat.ID // the newest message at or before LastReadSeq, zero if there is none
	UnreadCount int64
	Moved       bool // false if the user had already read that far
}
