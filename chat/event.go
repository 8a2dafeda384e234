package chat

// EventType is the type of a frame that the server sends.
type EventType string

// What the server says.
const (
	EventConnection      EventType = "connection"
	EventAck             EventType = "ack"
	EventError           EventType = "error"
	EventMessage         EventType = "message"
	EventMessageUpdated  EventType = "message_updated"
	EventMessageDeleted  EventType = "message_deleted"
	EventMessageReaction EventType = "message_reaction"
	EventReactionRemoved EventType = "reaction_removed"
	EventTyping          EventType = "typing"
	EventReadReceipt     EventType = "read_receipt"
	EventPresence        EventType = "presence"
	EventChannelJoined   EventType = "channel_joined"
	EventChannelLeft     EventType = "channel_left"
	EventChannelUpdated  EventType = "channel_updated"
	EventMemberJoined    EventType = "member_joined"
	EventMemberLeft      EventType = "member_left"
	EventMemberUpdated   EventType = "member_updated"
	EventNotice          EventType = "notice"
	EventPong            EventType = "pong"
)

// Entry is one entry of a channel's log, as the store keeps it and the hub tells
// it.
type Entry struct {
	Type      EventType
	ChannelID ID
	Seq       Seq
	// UserID is who did it: the author, the reactor, the one who added or removed.
	UserID UserID
	At     Time
	// Message is set for EventMessage.
	Message *Message
	// MessageID, Content, Emoji and ReactionCount are set for changes to a message.
	MessageID     ID
	Content       string
	Emoji         string
	ReactionCount int64
	// Subject is the member whom a member_… entry is about, Role his role.
	Subject UserID
	Role    Role
	// Channel is set for channel_updated, channel_joined (a new channel's first
	// entry) and member_joined.
	Channel *Channel
	// InitialMembers are the users for whom a channel_joined is the start of membership.
	InitialMembers []UserID
}

// Wire is the frame that everyone in the channel is sent.
func (e *Entry) Wire() any {
	switch e.Type {
	case EventMessage:
		return e.messageFrame("")
	case EventMessageUpdated:
		return MessageUpdatedFrame{e.Type, e.ChannelID, e.Seq, e.MessageID, e.UserID, e.Content, e.At}
	case EventMessageDeleted:
		return MessageDeletedFrame{e.Type, e.ChannelID, e.Seq, e.MessageID, e.UserID, e.At}
	case EventMessageReaction, EventReactionRemoved:
		return ReactionFrame{e.Type, e.ChannelID, e.Seq, e.MessageID, e.UserID, e.Emoji, e.ReactionCount, e.At}
	case EventMemberJoined, EventMemberLeft, EventMemberUpdated:
		return MemberFrame{e.Type, e.ChannelID, e.Seq, e.Subject, e.Role, e.At}
	default:
		return ChannelFrame{e.Type, e.ChannelID, e.Seq, e.Channel.shared(), e.At}
	}
}

// PersonalRecipient names the user who is sent a frame of his own instead of Wire: the
// author of a message that has a client_id, and the member who joined or left.
// "" when there is none.
func (e *Entry) PersonalRecipient() UserID {
	switch {
	case e.Type == EventMessage && e.Message.ClientID != "":
		return e.UserID
	case e.Type == EventMemberJoined, e.Type == EventMemberLeft:
		return e.Subject
	}
	return ""
}

// WirePersonal is the frame for the user whom PersonalRecipient names.
func (e *Entry) WirePersonal() any {
	switch e.Type {
	case EventMessage:
		return e.messageFrame(e.Message.ClientID)
	case EventMemberJoined:
		return ChannelFrame{EventChannelJoined, e.ChannelID, e.Seq, e.Channel.shared(), e.At}
	default:
		return ChannelFrame{EventChannelLeft, e.ChannelID, e.Seq, nil, e.At}
	}
}

// JoinedUsers and LeftUser say whose membership the entry starts or ends.
func (e *Entry) JoinedUsers() []UserID {
	switch e.Type {
	case EventMemberJoined:
		return []UserID{e.Subject}
	case EventChannelJoined:
		return e.InitialMembers
	}
	return nil
}

// LeftUser says whose membership the entry ends, "" when nobody's.
func (e *Entry) LeftUser() UserID {
	if e.Type == EventMemberLeft {
		return e.Subject
	}
	return ""
}

// shared is the channel without what is one member's own.
func (c *Channel) shared() *Channel {
	if c == nil {
		return nil
	}
	s := *c
	s.MyMembership, s.UnreadCount, s.IsStarred = nil, 0, false
	return &s
}

func (e *Entry) messageFrame(clientID string) MessageFrame {
	m := e.Message
	data := MessageData{
		ID: m.ID, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, Content: m.Content, CreatedAt: m.CreatedAt,
		MessageType: m.MessageType, ParentMessageID: m.ParentMessageID, MentionedUserIDs: m.MentionedUserIDs,
		IsEdited: m.IsEdited, IsDeleted: m.IsDeleted, ClientID: clientID, User: m.User,
	}
	if !m.FileInfo.IsZero() {
		data.Attachments = []FileInfo{m.FileInfo}
	}
	return MessageFrame{EventMessage, e.ChannelID, e.Seq, data, e.At}
}
