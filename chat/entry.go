package chat

import "slices"

// Entry is one record of a channel's log. The server, the database, other nodes and
// clients use this one type. Its JSON is what nodes exchange; the database stores the
// same JSON without the fields that are columns. AppendShared and AppendPersonal
// write what clients receive: the fields that the table of events lists for the type.
type Entry struct {
	Type      EventType `json:"type,omitzero"`
	ChannelID ID        `json:"channel_id,omitzero"`
	Seq       Seq       `json:"seq,omitzero" minimum:"1"`
	// UserID is who made the change: the author, the user who reacted, the user who
	// added or removed a member. Clients do not learn who changed a membership.
	UserID UserID `json:"user_id,omitzero" doc:"Who made the change"`
	At     Time   `json:"timestamp,omitzero"`
	// Message is set for EventMessage.
	Message *MessageData `json:"data,omitzero"`
	// MessageID, Content, Emoji and ReactionCount are set for changes to a message.
	MessageID     ID     `json:"message_id,omitzero"`
	Content       string `json:"content,omitzero" doc:"The new content"`
	Emoji         string `json:"emoji,omitzero" minLength:"1" max:"emoji"`
	ReactionCount int64  `json:"reaction_count,omitzero" minimum:"0" doc:"How many reactions the message has now"`
	// Subject is the member that a member_… entry is about, Role the member's role.
	// Clients receive the subject as user_id.
	Subject UserID `json:"subject,omitzero" doc:"The member"`
	Role    Role   `json:"role,omitzero"`
	// Channel is the channel after the change, for entries about the channel and its
	// members.
	Channel *Channel `json:"channel,omitzero"`
	// InitialMembers are the users whose membership begins with a channel_joined.
	InitialMembers []UserID `json:"founders,omitzero"`
}

// AppendShared appends the JSON that every member of the channel receives, except the
// one whom PersonalRecipient names. It panics if the table has no line for the type.
func (e *Entry) AppendShared(b []byte) []byte {
	return e.appendAs(b, specOf(e.Type), false)
}

// AppendPersonal appends the JSON for the user whom PersonalRecipient names.
func (e *Entry) AppendPersonal(b []byte) []byte {
	return e.appendAs(b, specOf(specOf(e.Type).Personal), true)
}

func (e *Entry) appendAs(b []byte, spec *EventSpec, personal bool) []byte {
	b = append(slices.Grow(b, 320), `{"type":"`...) // enough for most entries without a message
	b = append(b, spec.Type...)
	b = append(b, `","channel_id":"`...)
	b = e.ChannelID.append(b)
	b = append(b, `","seq":`...)
	b = appendInt(b, e.Seq)
	for _, f := range spec.Fields {
		b = f.append(b, e, personal)
	}
	b = append(b, `,"timestamp":"`...)
	b, _ = e.At.AppendText(b)
	return append(b, `"}`...)
}

// PersonalRecipient returns the user who receives the personal form of the entry: the
// author of a message with a client_id, and the member who joined or left. It returns
// "" if all members receive the same.
func (e *Entry) PersonalRecipient() UserID {
	if f := specOf(e.Type).Recipient; f != nil {
		return f(e)
	}
	return ""
}

// JoinedUsers returns the users whose membership begins with the entry.
func (e *Entry) JoinedUsers() []UserID {
	if f := specOf(e.Type).Joins; f != nil {
		return f(e)
	}
	return nil
}

// StartsMemberships reports whether memberships begin with entries of this type.
func (e *Entry) StartsMemberships() bool { return specOf(e.Type).Joins != nil }

// LeftUser returns the user whose membership ends with the entry, "" if there is none.
func (e *Entry) LeftUser() UserID {
	if f := specOf(e.Type).Leaves; f != nil {
		return f(e)
	}
	return ""
}

// Valid reports whether the entry belongs to a log and has what its type requires. An
// entry of an unknown type is not valid.
func (e *Entry) Valid() bool {
	spec := eventSpecs[e.Type]
	if spec == nil || spec.Kind != LogEvent || e.Seq <= 0 || e.ChannelID.IsZero() {
		return false
	}
	for _, f := range spec.Fields {
		if !f.valid(e) {
			return false
		}
	}
	return true
}

// Received completes an entry that was decoded from what a client received: it moves
// the user_id of an event about a member to Subject, and sets UserID to a message's
// author.
func (e *Entry) Received() {
	spec := eventSpecs[e.Type]
	if spec == nil {
		return
	}
	for _, f := range spec.Fields {
		if f.received != nil {
			f.received(e)
		}
	}
}

// shared returns the channel without what belongs to one member.
func (c *Channel) shared() *Channel {
	s := *c
	s.MyMembership, s.UnreadCount, s.IsStarred = nil, 0, false
	return &s
}

// Data returns the message as events carry it.
func (m *Message) Data() *MessageData {
	d := &MessageData{
		ID: m.ID, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, Content: m.Content, CreatedAt: m.CreatedAt,
		MessageType: m.MessageType, ParentMessageID: m.ParentMessageID, MentionedUserIDs: m.MentionedUserIDs,
		IsEdited: m.IsEdited, IsDeleted: m.IsDeleted, ClientID: m.ClientID, User: m.User,
	}
	if !m.FileInfo.IsZero() {
		d.Attachments = []FileInfo{m.FileInfo}
	}
	return d
}
