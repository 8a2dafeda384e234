package chat

// What clients ask for, over a socket as the data of an envelope and over REST as
// a body (there the path gives the channel and the message).

// SendRequest asks for a new message.
type SendRequest struct {
	ChannelID        ID          `json:"channel_id"`
	Content          string      `json:"content"`
	ClientID         string      `json:"client_id,omitempty"`
	MessageType      MessageType `json:"message_type,omitempty"`
	ParentMessageID  *ID         `json:"parent_message_id,omitempty"`
	MentionedUserIDs []UserID    `json:"mentioned_user_ids,omitempty"`
	AttachmentIDs    []ID        `json:"attachment_ids,omitempty"`
	FileURL          *string     `json:"file_url,omitempty"`
	FileName         *string     `json:"file_name,omitempty"`
	FileType         *string     `json:"file_type,omitempty"`
	FileSize         *int64      `json:"file_size,omitempty"`
}

// SendReply answers new_message.
type SendReply struct {
	Status    string `json:"status"`
	MessageID ID     `json:"message_id"`
	Seq       Seq    `json:"seq"`
	CreatedAt Time   `json:"created_at"`
	Duplicate bool   `json:"duplicate,omitzero"`
}

// TypingRequest says that the user types, or stopped.
type TypingRequest struct {
	ChannelID ID    `json:"channel_id"`
	IsTyping  *bool `json:"is_typing,omitempty"`
}

// StatusReply answers what has nothing more to say.
type StatusReply struct {
	Status string `json:"status"`
	Seq    Seq    `json:"seq,omitzero"`
}

// ReadRequest says how far the user has read: up to a message, a seq, or, without
// either, all there is.
type ReadRequest struct {
	ChannelID ID  `json:"channel_id"`
	MessageID ID  `json:"message_id,omitzero"`
	Seq       Seq `json:"seq,omitzero"`
}

// ReadReply answers read_receipt.
type ReadReply struct {
	Status      string `json:"status"`
	LastReadSeq Seq    `json:"last_read_seq"`
	UnreadCount int64  `json:"unread_count"`
}

// ChannelRequest names a channel.
type ChannelRequest struct {
	ChannelID ID `json:"channel_id"`
}

// JoinReply answers join_channel and leave_channel.
type JoinReply struct {
	Status    string `json:"status"`
	ChannelID ID     `json:"channel_id"`
	LastSeq   *Seq   `json:"last_seq,omitempty"`
}

// ReactionRequest names a message and an emoji.
type ReactionRequest struct {
	ChannelID ID     `json:"channel_id"`
	MessageID ID     `json:"message_id"`
	Emoji     string `json:"emoji"`
}

// EditRequest gives a message new content.
type EditRequest struct {
	ChannelID ID     `json:"channel_id"`
	MessageID ID     `json:"message_id"`
	Content   string `json:"content"`
}

// MessageRequest names a message.
type MessageRequest struct {
	ChannelID ID `json:"channel_id"`
	MessageID ID `json:"message_id"`
}

// ResumeRequest gives the seq that the client has of each channel.
type ResumeRequest struct {
	Epoch   string     `json:"epoch"`
	Cursors map[ID]Seq `json:"cursors"`
}

// ResumeReply answers resume: what each channel will be served, after From up to
// To before what happens from now on.
type ResumeReply struct {
	Status   string          `json:"status"`
	Channels map[ID]SeqRange `json:"channels"`
}

// SeqRange is a stretch of a channel's log: the seqs after From up to To.
type SeqRange struct {
	From Seq `json:"from"`
	To   Seq `json:"to"`
}

// WatchRequest names the users whose presence the socket wants to be told.
type WatchRequest struct {
	UserIDs   []UserID `json:"user_ids,omitempty"`
	ChannelID ID       `json:"channel_id,omitzero"`
}

// WatchReply answers subscribe_presence.
type WatchReply struct {
	Status string   `json:"status"`
	Online []UserID `json:"online"`
}

// CreateChannelRequest asks for a new channel.
type CreateChannelRequest struct {
	Name        string      `json:"name"`
	Description *string     `json:"description,omitempty"`
	ChannelType ChannelType `json:"channel_type,omitempty"`
	IsPrivate   bool        `json:"is_private,omitempty"`
	Subject     *string     `json:"subject,omitempty"`
	Topic       *string     `json:"topic,omitempty"`
	TutorID     *UserID     `json:"tutor_id,omitempty"`
	MemberIDs   []UserID    `json:"member_ids,omitempty"`
}

// AddMembersRequest asks for users to become members.
type AddMembersRequest struct {
	ChannelID ID       `json:"-"`
	UserIDs   []UserID `json:"user_ids"`
	Role      Role     `json:"role,omitempty"`
}
