package state

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

var errNoParent = chat.Errorf(chat.NotFound,
	"The message that this replies to is not in this channel (parent_message_id)")

func (g *Group) sendMessage(c *Change, t *target) (*chat.Entry, error) {
	if g.Messages[c.ID] != nil { // another author's, or in another channel
		return nil, errOtherMessage
	}
	ch := t.channel
	if id := c.Message.ParentMessageID; id != nil {
		parent := g.Messages[*id]
		if parent == nil || parent.ChannelID != ch.ID || parent.IsDeleted {
			return nil, errNoParent
		}
		parent.ThreadReplyCount++
		parent.ThreadLastReplyAt = &c.At
		g.touchMessage(parent)
	}
	ch.LastSeq++
	ch.MessageCount++
	g.touch(ch)
	if ch.LastMessageAt == nil || *ch.LastMessageAt < c.At { // the clocks of nodes differ
		ch.LastMessageAt = &c.At
	}
	var author *chat.UserRef
	if u := g.Users[c.Actor.User]; u != nil {
		author = u.Ref(false)
	}
	out := Sent(c, ch.LastSeq, ch.MessageCount, author)
	t.sent = out.Message
	m := &Message{Message: *out.Message, BodyHash: BodyHash(c.Message), touched: true}
	g.Messages[c.ID] = m
	g.effects.NewMessages = append(g.effects.NewMessages, m)
	return out.Entry, nil
}

// Sent returns the outcome of a send that became the channel's entry seq and its message
// number ordinal.
func Sent(c *Change, seq chat.Seq, ordinal int64, author *chat.UserRef) Outcome {
	m := *c.Message
	m.ID, m.ChannelID, m.Seq, m.Ordinal = c.ID, c.ChannelID, seq, ordinal
	m.UserID, m.User, m.CreatedAt, m.UpdatedAt = c.Actor.User, author, c.At, c.At
	if m.Reactions == nil {
		m.Reactions = []chat.Reaction{}
	}
	return Outcome{
		Entry: &chat.Entry{
			Type: chat.EventMessage, ChannelID: c.ChannelID, Seq: seq, UserID: c.Actor.User, At: c.At, Message: m.Data(),
		},
		Message: &m,
	}
}

// IsPlainSend reports whether c is a new message that needs no row of another message, and
// about which the sender's role alone decides: see [Rules.CheckSend].
func (c *Change) IsPlainSend() bool {
	m := c.Message
	return c.Kind == SendMessage && m != nil && m.ParentMessageID == nil && isNew(m) &&
		c.Actor.Kind != model.ActorSystem && kinds[SendMessage].actors.Has(c.Actor.Kind) && checkChange(c) == nil
}

func isNew(m *chat.Message) bool {
	return !m.IsEdited && m.EditedAt == nil && !m.IsDeleted && m.DeletedAt == nil && !m.IsPinned &&
		m.ReactionCount == 0 && m.ThreadReplyCount == 0 && m.ThreadLastReplyAt == nil
}

func (g *Group) editMessage(c *Change, t *target) (*chat.Entry, error) {
	m := t.message
	if m.Content == c.Content {
		return nil, nil
	}
	m.Content, m.IsEdited, m.EditedAt, m.UpdatedAt = c.Content, true, &c.At, c.At
	g.touchMessage(m)
	e := g.entry(c, t.channel, chat.EventMessageUpdated)
	e.MessageID, e.Content = m.ID, c.Content
	return e, nil
}

// deleteMessage leaves a tombstone without content.
func (g *Group) deleteMessage(c *Change, t *target) (*chat.Entry, error) {
	m := t.message
	m.Content, m.IsDeleted, m.DeletedAt, m.UpdatedAt = "", true, &c.At, c.At
	m.FileInfo, m.MentionedUserIDs, m.ReactionCount, m.Reactions = chat.FileInfo{}, nil, 0, []chat.Reaction{}
	m.IsPinned = false
	g.touchMessage(m)
	g.write(ReactionsCleared{m.ID})
	if m.ParentMessageID != nil {
		if parent := g.Messages[*m.ParentMessageID]; parent != nil && parent.ThreadReplyCount > 0 {
			parent.ThreadReplyCount--
			g.touchMessage(parent)
		}
	}
	e := g.entry(c, t.channel, chat.EventMessageDeleted)
	e.MessageID = m.ID
	return e, nil
}
