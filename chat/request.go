package chat

import "github.com/go-json-experiment/json/jsontext"

// What clients send: the data of a command over a socket, or the body of a REST call,
// where the path names the channel and the message.

// Request is a command as a client sends it.
type Request struct {
	Type string         `json:"type"`
	Data jsontext.Value `json:"data,omitempty"`
	ID   string         `json:"id,omitempty" max:"request_id"`
}

// SendRequest is a new message for a channel.
type SendRequest struct {
	ChannelID ID `json:"channel_id"`
	MessageBody
}

// MessageBody is what a sender writes of a message.
type MessageBody struct {
	Content string `json:"content" minLength:"1" max:"content"`
	// ClientID is the sender's key for the message: sending again with the same key
	// never creates a second message. A version 7 UUID becomes the message's id.
	ClientID         string      `json:"client_id,omitempty" max:"client_id" doc:"Makes sending again safe"`
	MessageType      MessageType `json:"message_type,omitempty" enum:"text,file,image,video,audio,code" doc:"Default text"`
	ParentMessageID  *ID         `json:"parent_message_id,omitempty" doc:"The message that this one replies to"`
	MentionedUserIDs []UserID    `json:"mentioned_user_ids,omitempty" max:"mentions"`
	AttachmentIDs    []ID        `json:"attachment_ids,omitempty"`
	FileURL          *string     `json:"file_url,omitempty" max:"file_url"`
	FileName         *string     `json:"file_name,omitempty" max:"file_name"`
	FileType         *string     `json:"file_type,omitempty" max:"file_name"`
	FileSize         *int64      `json:"file_size,omitempty" minimum:"0"`
}

// TypingRequest reports that the user started or stopped typing.
type TypingRequest struct {
	ChannelID ID    `json:"channel_id"`
	IsTyping  *bool `json:"is_typing,omitempty" doc:"Default true"`
}

// ReadRequest reports how far the user has read: up to a message, up to a seq, or,
// without either, everything.
type ReadRequest struct {
	ChannelID ID  `json:"channel_id"`
	MessageID ID  `json:"message_id,omitzero"`
	Seq       Seq `json:"seq,omitzero"`
}

// ChannelRequest names a channel.
type ChannelRequest struct {
	ChannelID ID `json:"channel_id"`
}

// MessageRequest names a message.
type MessageRequest struct {
	ChannelID ID `json:"channel_id"`
	MessageID ID `json:"message_id"`
}

// ReactionRequest names a message and an emoji.
type ReactionRequest struct {
	ChannelID ID     `json:"channel_id"`
	MessageID ID     `json:"message_id"`
	Emoji     string `json:"emoji" minLength:"1" max:"emoji"`
}

// EditRequest is new content for a message.
type EditRequest struct {
	ChannelID ID     `json:"channel_id"`
	MessageID ID     `json:"message_id"`
	Content   string `json:"content" minLength:"1" max:"content"`
}

// ResumeRequest is the last seq that the client has of each channel.
type ResumeRequest struct {
	Epoch   string     `json:"epoch" doc:"Of the connection in which the client saw the seqs"`
	Cursors map[ID]Seq `json:"cursors" max:"cursors" doc:"The last seq that the client has, by channel"`
}

// WatchRequest names the users whose presence the socket wants to receive.
type WatchRequest struct {
	UserIDs   []UserID `json:"user_ids,omitempty" max:"presence"`
	ChannelID ID       `json:"channel_id,omitzero" doc:"All members of this channel instead"`
}

// CreateChannelRequest describes a new channel.
type CreateChannelRequest struct {
	Name        string      `json:"name" minLength:"1" max:"name"`
	Description *string     `json:"description,omitempty" max:"description"`
	ChannelType ChannelType `json:"channel_type,omitempty" enum:"group,tutor_student,class,subject" doc:"Default group"`
	IsPrivate   bool        `json:"is_private,omitempty"`
	Subject     *string     `json:"subject,omitempty" max:"topic"`
	Topic       *string     `json:"topic,omitempty" max:"topic"`
	TutorID     *UserID     `json:"tutor_id,omitempty"`
	MemberIDs   []UserID    `json:"member_ids,omitempty" max:"add_members"`
}

// AddMembersRequest names users to add to a channel.
type AddMembersRequest struct {
	ChannelID ID       `json:"-"`
	UserIDs   []UserID `json:"user_ids" max:"add_members"`
	Role      Role     `json:"role,omitempty" doc:"Default member"`
}
