package model

import "github.com/chowk-chat/chowk/chat"

// HistoryQuery asks for a page of a channel's messages, newest first. At most one
// of BeforeID, BeforeTime and AfterSeq is used.
type HistoryQuery struct {
	ChannelID  chat.ID
	Viewer     chat.UserID
	Limit      int
	BeforeID   chat.ID   // messages before this one
	BeforeTime chat.Time // messages created before
	AfterSeq   chat.Seq  // messages after this seq: the oldest such page, newest first within it
	ParentID   chat.ID   // only replies to this message
}
