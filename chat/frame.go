package chat

// The events that are not entries of a log.

// ConnectionFrame is the first event on every socket.
type ConnectionFrame struct {
	Type         EventType `json:"type"`
	Status       string    `json:"status" enum:"connected"`
	UserID       UserID    `json:"user_id"`
	Timestamp    Time      `json:"timestamp"`
	ConnectionID string    `json:"connection_id" minLength:"1"`
	// Epoch names the history that the seqs belong to. It changes when a database was
	// restored from a backup, and when a standby took over.
	Epoch string `json:"epoch" minLength:"1" doc:"Names the history that the seqs belong to"`
	// Durability is what an ack means: with disk, a change survives a power failure;
	// with replica, also the loss of the primary; with os, the end of the process only.
	Durability string `json:"durability" enum:"disk,replica,os" doc:"What an ack means"`
	// HeartbeatS is how many seconds of silence the server waits before it sends a
	// WebSocket ping.
	HeartbeatS int            `json:"heartbeat_s" minimum:"1" doc:"Seconds of silence before a ping"`
	Channels   []ChannelState `json:"channels" doc:"The user's channels that the socket is joined to"`
	// Resumed is what a resume in the handshake's query will be served, as in a
	// ResumeReply.
	Resumed map[ID]SeqRange `json:"resumed,omitempty" doc:"The answer to a resume in the handshake"`
}

// ChannelState is what a socket needs to know of one of its user's channels when it
// opens.
type ChannelState struct {
	ID          ID    `json:"id"`
	LastSeq     Seq   `json:"last_seq"`
	LastReadSeq Seq   `json:"last_read_seq"`
	UnreadCount int64 `json:"unread_count"`
	Role        Role  `json:"-"`
	IsArchived  bool  `json:"-"`
	// JoinedSeq is the seq of the entry with which the user became a member, 0 for
	// initial members.
	JoinedSeq Seq `json:"-"`
}

// MessageData is a message as events carry it.
type MessageData struct {
	ID               ID          `json:"id"`
	ChannelID        ID          `json:"channel_id"`
	Seq              Seq         `json:"seq" minimum:"1"`
	UserID           UserID      `json:"user_id"`
	Content          string      `json:"content"`
	CreatedAt        Time        `json:"created_at"`
	MessageType      MessageType `json:"message_type"`
	ParentMessageID  *ID         `json:"parent_message_id,omitempty"`
	MentionedUserIDs []UserID    `json:"mentioned_user_ids,omitempty"`
	Attachments      []FileInfo  `json:"attachments,omitempty"`
	IsEdited         bool        `json:"is_edited,omitzero"`
	IsDeleted        bool        `json:"is_deleted,omitzero"`
	ClientID         string      `json:"client_id,omitempty" max:"client_id" doc:"Only for the sender"`
	User             *UserRef    `json:"user,omitempty"`
}

// TypingFrame reports that a user started or stopped typing.
type TypingFrame struct {
	Type      EventType `json:"type"`
	ChannelID ID        `json:"channel_id"`
	UserID    UserID    `json:"user_id"`
	IsTyping  bool      `json:"is_typing"`
	Timestamp Time      `json:"timestamp"`
}

// ReadReceiptFrame reports how far a user has read.
type ReadReceiptFrame struct {
	Type        EventType `json:"type"`
	ChannelID   ID        `json:"channel_id"`
	UserID      UserID    `json:"user_id"`
	MessageID   *ID       `json:"message_id" doc:"The newest message at or before last_read_seq"`
	LastReadSeq Seq       `json:"last_read_seq"`
	Timestamp   Time      `json:"timestamp"`
}

// PresenceFrame reports that a user came online or went offline.
type PresenceFrame struct {
	Type     EventType `json:"type"`
	UserID   UserID    `json:"user_id"`
	IsOnline bool      `json:"is_online"`
	LastSeen Time      `json:"last_seen"`
}

// NoticeFrame reports something about the connection.
type NoticeFrame struct {
	Type             EventType  `json:"type"`
	Code             NoticeCode `json:"code"`
	ReconnectAfterMS int64      `json:"reconnect_after_ms,omitempty"`
	Timestamp        Time       `json:"timestamp"`
}

// NoticeCode identifies what a notice is about.
type NoticeCode string

// The notices.
const (
	NoticeDraining      NoticeCode = "draining"
	NoticeTokenExpiring NoticeCode = "token_expiring"
)

// PongFrame answers a ping.
type PongFrame struct {
	Type      EventType `json:"type"`
	Timestamp Time      `json:"timestamp"`
	ID        string    `json:"id,omitempty" max:"request_id"`
}

// Ack answers a command that was carried out. To a client of the old system it also
// answers one that was refused: Response is then a Refusal.
type Ack struct {
	Type      EventType `json:"type"`
	Event     string    `json:"event" format:"command" doc:"The command's type"`
	Response  any       `json:"response"`
	Timestamp Time      `json:"timestamp"`
	ID        string    `json:"id,omitempty" max:"request_id" doc:"The command's id"`
}

// ErrorFrame answers a command that was refused or could not be read.
type ErrorFrame struct {
	Type      EventType `json:"type"`
	Message   string    `json:"message" minLength:"1" doc:"For people"`
	Timestamp Time      `json:"timestamp"`
	Code      Code      `json:"code" doc:"For programs"`
	Field     string    `json:"field,omitempty" doc:"The field that is wrong"`
	Event     string    `json:"event,omitempty" format:"command" doc:"The command's type"`
	ID        string    `json:"id,omitempty" doc:"The command's id, or that of an internal error in the log"`
	// ChannelIDs are the channels of a resume that the error is about. ChannelID is
	// the channel if there is only one.
	ChannelIDs   []ID  `json:"channel_ids,omitempty" doc:"The channels of a resume that this is about"`
	ChannelID    *ID   `json:"channel_id,omitempty" doc:"The channel, if there is only one"`
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

// ResyncFrame returns the error for a client that cannot be served from its cursors in
// the channels and must load them again.
func ResyncFrame(why string, at Time, ids ...ID) ErrorFrame {
	return refusedResume(Resync, why, at, ids)
}

// NoResumeFrame returns the error for a client that named channels it may not receive.
func NoResumeFrame(at Time, ids ...ID) ErrorFrame {
	return refusedResume(Forbidden, TextAccessDenied, at, ids)
}

func refusedResume(code Code, why string, at Time, ids []ID) ErrorFrame {
	f := ErrorFrame{Type: EventError, Message: why, Code: code, Event: "resume", ChannelIDs: ids, Timestamp: at}
	if len(ids) == 1 {
		f.ChannelID = &ids[0]
	}
	return f
}

// Protocol is the WebSocket subprotocol of clients that follow this protocol.
const Protocol = "chowk.v1"
