package chat

// What the acks of commands carry.

// SendReply answers new_message.
type SendReply struct {
	Status    string `json:"status" enum:"sent"`
	MessageID ID     `json:"message_id"`
	Seq       Seq    `json:"seq" minimum:"1"`
	CreatedAt Time   `json:"created_at"`
	Duplicate bool   `json:"duplicate,omitzero" doc:"The client_id was used before"`
}

// StatusReply answers a command that changes a channel.
type StatusReply struct {
	Status string `json:"status" enum:"sent"`
	Seq    Seq    `json:"seq,omitzero" doc:"Absent if there was nothing to do"`
}

// TypingReply answers typing.
type TypingReply struct {
	Status string `json:"status" enum:"sent"`
}

// ReadReply answers read_receipt.
type ReadReply struct {
	Status      string `json:"status" enum:"sent"`
	LastReadSeq Seq    `json:"last_read_seq"`
	UnreadCount int64  `json:"unread_count"`
}

// JoinReply answers join_channel.
type JoinReply struct {
	Status    string `json:"status" enum:"joined"`
	ChannelID ID     `json:"channel_id"`
	LastSeq   Seq    `json:"last_seq"`
}

// LeaveReply answers leave_channel.
type LeaveReply struct {
	Status    string `json:"status" enum:"left"`
	ChannelID ID     `json:"channel_id"`
}

// ResumeReply answers resume: for each channel, what the socket receives before new
// events.
type ResumeReply struct {
	Status   string          `json:"status" enum:"resumed"`
	Channels map[ID]SeqRange `json:"channels"`
}

// SeqRange is a part of a channel's log: the seqs after From up to To.
type SeqRange struct {
	From Seq `json:"from"`
	To   Seq `json:"to"`
}

// WatchReply answers subscribe_presence.
type WatchReply struct {
	Status string   `json:"status" enum:"subscribed"`
	Online []UserID `json:"online" doc:"Those of the users who are online"`
}

// Refusal is the response of an ack by which a client of the old system is refused.
type Refusal struct {
	Error        string `json:"error" minLength:"1"`
	Code         Code   `json:"code"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}
