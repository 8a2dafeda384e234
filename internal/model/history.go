package model

import "github.com/chowk-chat/chowk/chat"

// HistoryQuery selects a page of a channel's messages, newest first. At most one of BeforeID,
// BeforeTime and AfterSeq is set.
type HistoryQuery struct {
	ChannelID  chat.ID
	Viewer     chat.UserID
	Limit      int
	BeforeID   chat.ID   // messages before this one
	BeforeTime chat.Time // messages created before this time
	AfterSeq   chat.Seq  // the oldest page of messages after this seq, newest first within the page
	Pinned     bool      // only pinned messages
	ParentID   chat.ID   // only replies to this message
}
