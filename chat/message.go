package chat

import "slices"

// MessageType says what a message's content is.
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

// MessageTypes lists the message types. A user may send all but system.
var MessageTypes = []MessageType{Text, File, Image, Video, Audio, Source, System}

// Valid reports whether t is one of MessageTypes.
func (t MessageType) Valid() bool { return slices.Contains(MessageTypes, t) }

// Message is one message as REST gives it.
type Message struct {
	ID                ID          `json:"id"`
	ChannelID         ID          `json:"channel_id"`
	Seq               Seq         `json:"seq"`
	UserID            UserID      `json:"user_id"`
	Content           string      `json:"content" doc:"Empty once the message is deleted"`
	MessageType       MessageType `json:"message_type" enum:"text,file,image,video,audio,code,system"`
	ParentMessageID   *ID         `json:"parent_message_id"`
	ThreadReplyCount  int64       `json:"thread_reply_count"`
	ThreadLastReplyAt *Time       `json:"thread_last_reply_at"`
	MentionedUserIDs  []UserID    `json:"mentioned_user_ids" nullable:"true"`
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
	// ClientID is the sender's own key for the send, "" when it gave none.
	ClientID string `json:"client_id,omitempty" doc:"Only to the message's author"`
	// Ordinal is the message's count among the channel's messages: 1, 2, 3 …
	// Unread counts are differences of ordinals.
	Ordinal int64 `json:"-"`
}

// FileInfo describes the file that a message carries.
type FileInfo struct {
	FileURL  *string `json:"file_url"`
	FileName *string `json:"file_name"`
	FileType *string `json:"file_type"`
	FileSize *int64  `json:"file_size"`
}

// IsZero reports whether there is no file.
func (f FileInfo) IsZero() bool { return f == FileInfo{} }

// Reaction is one user's emoji on one message.
type Reaction struct {
	Emoji     string `json:"emoji"`
	UserID    UserID `json:"user_id"`
	CreatedAt Time   `json:"created_at"`
}

// The bounds of what users may write. The wire's and REST's schemas state them
// too.
const (
	MaxContent     = 16 << 10 // bytes of a message's content
	MaxClientID    = 64       // bytes of a client_id
	MaxRequestID   = 64       // bytes of an envelope's id
	MaxMentions    = 50       // users mentioned in one message
	MaxEmoji       = 50       // bytes of a reaction
	MaxReactions   = 50       // distinct emoji on one message
	MaxName        = 100      // characters of a channel's name
	MaxDescription = 2000     // characters of a channel's description
	MaxTopic       = 250      // characters of a channel's topic or subject
	MaxAddMembers  = 100      // members added in one call
	MaxHistory     = 100      // messages in one page
	MaxPresence    = 500      // users watched by one socket
	MaxCursors     = 10_000   // channels in one resume
	MaxFileURL     = 2048     // bytes
	MaxFileName    = 255      // bytes of a file's name or type
)
