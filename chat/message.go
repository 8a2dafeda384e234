package chat

import "slices"

// MessageType is what a message's content is.
type MessageType string

// The message types.
const (
	Text   MessageType = "text"
	File   MessageType = "file"
	Image  MessageType = "image"
	Video  MessageType = "video"
	Audio  MessageType = "audio"
	Source MessageType = "code"
	System MessageType = "system"
)

// MessageTypes are the message types. Users may send all of them except system.
var MessageTypes = []MessageType{Text, File, Image, Video, Audio, Source, System}

// Valid reports whether t is one of MessageTypes.
func (t MessageType) Valid() bool { return slices.Contains(MessageTypes, t) }

// Message is a message as REST returns it.
type Message struct {
	ID                ID          `json:"id"`
	ChannelID         ID          `json:"channel_id"`
	Seq               Seq         `json:"seq"`
	UserID            UserID      `json:"user_id"`
	Content           string      `json:"content" doc:"Empty if the message is deleted"`
	MessageType       MessageType `json:"message_type"`
	ParentMessageID   *ID         `json:"parent_message_id"`
	ThreadReplyCount  int64       `json:"thread_reply_count"`
	ThreadLastReplyAt *Time       `json:"thread_last_reply_at"`
	MentionedUserIDs  []UserID    `json:"mentioned_user_ids"`
	FileInfo
	IsEdited      bool       `json:"is_edited"`
	EditedAt      *Time      `json:"edited_at"`
	IsDeleted     bool       `json:"is_deleted"`
	DeletedAt     *Time      `json:"deleted_at"`
	IsPinned      bool       `json:"is_pinned"`
	ReactionCount int64      `json:"reaction_count"`
	CreatedAt     Time       `json:"created_at"`
	UpdatedAt     Time       `json:"updated_at"`
	Reactions     []Reaction `json:"reactions"`
	User          *UserRef   `json:"user,omitempty"`
	// ClientID is the sender's key for the message, "" if there was none.
	ClientID string `json:"client_id,omitempty" doc:"Only for the author"`
	// Ordinal numbers the channel's messages: 1, 2, 3 … Unread counts are differences
	// of ordinals.
	Ordinal int64 `json:"-"`
}

// FileInfo describes a message's file.
type FileInfo struct {
	FileURL  *string `json:"file_url"`
	FileName *string `json:"file_name"`
	FileType *string `json:"file_type"`
	FileSize *int64  `json:"file_size"`
}

// IsZero reports whether the message has no file.
func (f FileInfo) IsZero() bool { return f == FileInfo{} }

// Reaction is one user's emoji on one message.
type Reaction struct {
	Emoji     string `json:"emoji"`
	UserID    UserID `json:"user_id"`
	CreatedAt Time   `json:"created_at"`
}
