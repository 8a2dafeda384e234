package relay

import "github.com/chowk-chat/chowk/chat"

// entry is a chat.Event as nodes tell it: what its frames are made of.
type entry struct {
	Type      chat.EventType    `json:"type"`
	Channel   chat.ID           `json:"channel"`
	Seq       chat.Seq          `json:"seq"`
	User      chat.UserID       `json:"user"`
	At        chat.Time         `json:"at"`
	Message   *chat.MessageData `json:"message,omitempty"`
	MessageID *chat.ID          `json:"message_id,omitempty"`
	Content   string            `json:"content,omitempty"`
	Emoji     string            `json:"emoji,omitempty"`
	Reactions int64             `json:"reactions,omitzero"`
	Subject   chat.UserID       `json:"subject,omitempty"`
	Role      chat.Role         `json:"role,omitempty"`
	Header    *chat.Channel     `json:"header,omitempty"` // the channel's
}

// entriesOf puts events in the nodes' words.
func entriesOf(events []chat.Entry) []entry {
	all := make([]entry, len(events))
	for i := range events {
		ev := &events[i]
		all[i] = entry{
			Type: ev.Type, Channel: ev.ChannelID, Seq: ev.Seq, User: ev.UserID, At: ev.At, Content: ev.Content, Emoji: ev.Emoji,
			Reactions: ev.ReactionCount, Subject: ev.Subject, Role: ev.Role, Header: ev.Channel,
		}
		if !ev.MessageID.IsZero() {
			all[i].MessageID = &ev.MessageID
		}
		if m := ev.Message; m != nil {
			all[i].Message = dataOf(m)
		}
	}
	return all
}

func dataOf(m *chat.Message) *chat.MessageData {
	d := &chat.MessageData{
		ID: m.ID, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, Content: m.Content, CreatedAt: m.CreatedAt, MessageType: m.MessageType,
		ParentMessageID: m.ParentMessageID, MentionedUserIDs: m.MentionedUserIDs, IsEdited: m.IsEdited, IsDeleted: m.IsDeleted, ClientID: m.ClientID, User: m.User,
	}
	if !m.FileInfo.IsZero() {
		d.Attachments = []chat.FileInfo{m.FileInfo}
	}
	return d
}

// eventsOf is the opposite of entriesOf. ok is false when they cannot have come from
// a node that is right: they are of one channel, and each has what its type needs.
func eventsOf(all []entry) (events []chat.Entry, ok bool) {
	events = make([]chat.Entry, len(all))
	for i := range all {
		e := &all[i]
		if e.Seq <= 0 || e.Channel.IsZero() || e.Channel != all[0].Channel || !e.valid() {
			return nil, false
		}
		events[i] = chat.Entry{
			Type: e.Type, ChannelID: e.Channel, Seq: e.Seq, UserID: e.User, At: e.At, Content: e.Content, Emoji: e.Emoji,
			ReactionCount: e.Reactions, Subject: e.Subject, Role: e.Role, Channel: e.Header,
		}
		if e.MessageID != nil {
			events[i].MessageID = *e.MessageID
		}
		if e.Message != nil {
			events[i].Message = e.message()
		}
	}
	return events, len(events) > 0
}

// valid says whether the entry has what its frames need. A type of which a later
// chowk knows is left to the log.
func (e *entry) valid() bool {
	switch e.Type {
	case chat.EventMessage:
		return e.Message != nil && e.Message.Seq == e.Seq && e.Message.ChannelID == e.Channel && e.Message.UserID == e.User
	case chat.EventMessageUpdated, chat.EventMessageDeleted, chat.EventMessageReaction, chat.EventReactionRemoved:
		return e.MessageID != nil
	case chat.EventMemberLeft, chat.EventMemberUpdated:
		return e.Subject.Valid()
	case chat.EventChannelUpdated:
		return e.Header != nil && e.Header.ID == e.Channel
	}
	return false
}

func (e *entry) message() *chat.Message {
	d := e.Message
	m := &chat.Message{
		ID: d.ID, ChannelID: d.ChannelID, Seq: d.Seq, UserID: d.UserID, Content: d.Content, CreatedAt: d.CreatedAt, MessageType: d.MessageType,
		ParentMessageID: d.ParentMessageID, MentionedUserIDs: d.MentionedUserIDs, IsEdited: d.IsEdited, IsDeleted: d.IsDeleted, ClientID: d.ClientID, User: d.User,
	}
	if len(d.Attachments) > 0 {
		m.FileInfo = d.Attachments[0]
	}
	return m
}
