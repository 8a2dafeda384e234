package chat

import "github.com/go-json-experiment/json/jsontext"

// Request is the envelope of what a client sends.
type Request struct {
	Type string         `json:"type"`
	Data jsontext.Value `json:"data,omitempty"`
	ID   string         `json:"id,omitempty"`
}

// Ack answers a request that was carried out. (To a client of the old protocol it
// also answers one that was refused: Response is then a Refusal.)
type Ack struct {
	Type      EventType `json:"type"`
	Event     string    `json:"event"`
	Response  any       `json:"response"`
	Timestamp Time      `json:"timestamp"`
	ID        string    `json:"id,omitempty"`
}

// ErrorFrame answers a request that was refused or made no sense.
type ErrorFrame struct {
	Type      EventType `json:"type"`
	Message   string    `json:"message"`
	Timestamp Time      `json:"timestamp"`
	Code      Code      `json:"code"`
	Field     string    `json:"field,omitempty"`
	Event     string    `json:"event,omitempty"`
	ID        string    `json:"id,omitempty"`
	// ChannelIDs are the channels of a resume that this is about, ChannelID the one
	// when it is one alone.
	ChannelIDs   []ID  `json:"channel_ids,omitempty"`
	ChannelID    *ID   `json:"channel_id,omitempty"`
	RetryAfterMS int64 `json:"retry_after_ms,omitempty"`
}

// ResyncFrame tells a client that it cannot be served from its cursors in the
// channels: it must load them again.
func ResyncFrame(why string, at Time, ids ...ID) ErrorFrame {
	return refusedResume(Resync, why, at, ids)
}

// NoResumeFrame tells a client that it may not hear the channels it named.
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

// Refusal is the response of an ack by which a client of the old protocol is
// refused.
type Refusal struct {
	Error        string `json:"error"`
	Code         Code   `json:"code"`
	RetryAfterMS int64  `json:"retry_after_ms,omitempty"`
}

// ConnectionFrame is the first frame on every socket.
type ConnectionFrame struct {
	Type         EventType      `json:"type"`
	Status       string         `json:"status"`
	UserID       UserID         `json:"user_id"`
	Timestamp    Time           `json:"timestamp"`
	ConnectionID string         `json:"connection_id"`
	Epoch        string         `json:"epoch"`
	Durability   string         `json:"durability"`
	HeartbeatS   int            `json:"heartbeat_s"`
	Channels     []ChannelState `json:"channels"`
	// Resumed is what a resume in the handshake's query will be served, as in a
	// ResumeReply.
	Resumed map[ID]SeqRange `json:"resumed,omitempty"`
}

// MessageData is a message as events carry it.
type MessageData struct {
	ID               ID          `json:"id"`
	ChannelID        ID          `json:"channel_id"`
	Seq              Seq         `json:"seq"`
	UserID           UserID      `json:"user_id"`
	Content          string      `json:"content"`
	CreatedAt        Time        `json:"created_at"`
	MessageType      MessageType `json:"message_type"`
	ParentMessageID  *ID         `json:"parent_message_id,omitempty"`
	MentionedUserIDs []UserID    `json:"mentioned_user_ids,omitempty"`
	Attachments      []FileInfo  `json:"attachments,omitempty"`
	IsEdited         bool        `json:"is_edited,omitzero"`
	IsDeleted        bool        `json:"is_deleted,omitzero"`
	ClientID         string      `json:"client_id,omitempty"`
	User             *UserRef    `json:"user,omitempty"`
}

// TypingFrame tells that somebody types, or stopped.
type TypingFrame struct {
	Type      EventType `json:"type"`
	ChannelID ID        `json:"channel_id"`
	UserID    UserID    `json:"user_id"`
	IsTyping  bool      `json:"is_typing"`
	Timestamp Time      `json:"timestamp"`
}

// ReadReceiptFrame tells how far somebody has read.
type ReadReceiptFrame struct {
	Type        EventType `json:"type"`
	ChannelID   ID        `json:"channel_id"`
	UserID      UserID    `json:"user_id"`
	MessageID   *ID       `json:"message_id"`
	LastReadSeq Seq       `json:"last_read_seq"`
	Timestamp   Time      `json:"timestamp"`
}

// PresenceFrame tells that somebody came or went.
type PresenceFrame struct {
	Type     EventType `json:"type"`
	UserID   UserID    `json:"user_id"`
	IsOnline bool      `json:"is_online"`
	LastSeen Time      `json:"last_seen"`
}

// NoticeFrame tells the client something about its connection.
type NoticeFrame struct {
	Type             EventType  `json:"type"`
	Code             NoticeCode `json:"code"`
	ReconnectAfterMS int64      `json:"reconnect_after_ms,omitempty"`
	Timestamp        Time       `json:"timestamp"`
}

// NoticeCode says what a notice is about.
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
	ID        string    `json:"id,omitempty"`
}

// Close codes of chowk's own (RFC 6455 section 7.4.2 leaves 4000-4999 to
// applications), beside those of the RFC.
const (
	CloseGoingAway     uint16 = 1001
	CloseRestart       uint16 = 1012
	CloseTryAgainLater uint16 = 1013
	CloseTokenExpired  uint16 = 4001
	CloseUserDisabled  uint16 = 4003
	CloseAbuse         uint16 = 4008
)

// Protocol is the WebSocket subprotocol of a client that knows chowk.
const Protocol = "chowk.v1"
