package chat

// HistoryQuery asks for a page of a channel's messages, newest first. At most one
// of BeforeID, BeforeTime and AfterSeq is used.
type HistoryQuery struct {
	ChannelID  ID
	Viewer     UserID
	Limit      int
	BeforeID   ID   // messages before this one
	BeforeTime Time // messages created before
	AfterSeq   Seq  // messages after this seq: the oldest such page, newest first within it
	ParentID   ID   // only replies to this message
}
