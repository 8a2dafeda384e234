package store

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// What the commit does with messages.

func (g *group) send(c *state.Change, ch *channelRow) state.Outcome {
	if first := g.messages[c.ID]; first != nil {
		return g.duplicateSend(c, first)
	}
	if id := c.Message.ParentMessageID; id != nil {
		parent := g.messages[*id]
		if parent == nil || parent.ChannelID != ch.ID || parent.IsDeleted {
			return state.Outcome{Err: &chat.Error{Code: chat.NotFound, Message: "The message that this replies to is not in this channel (parent_message_id)"}}
		}
		parent.ThreadReplyCount++
		parent.ThreadLastReplyAt = &c.At
		parent.touched = true
	}
	ch.LastSeq++
	ch.MessageCount++
	ch.touched = true
	if ch.LastMessageAt == nil || *ch.LastMessageAt < c.At { // the clocks of nodes differ
		ch.LastMessageAt = &c.At
	}
	var author *chat.UserRef
	if u := g.users[c.Actor]; u != nil {
		author = u.Ref(false)
	}
	out := sent(c, ch.LastSeq, ch.MessageCount, author)
	g.messages[c.ID] = &messageRow{Message: *out.Message, bodyHash: state.BodyHash(c.Message), isNew: true}
	return out
}

// sent is the outcome of a send at its place in the channel.
func sent(c *state.Change, seq chat.Seq, ordinal int64, author *chat.UserRef) state.Outcome {
	m := *c.Message
	m.ID, m.Seq, m.Ordinal, m.ChannelID, m.UserID, m.CreatedAt, m.UpdatedAt, m.User = c.ID, seq, ordinal, c.ChannelID, c.Actor, c.At, c.At, author
	if m.Reactions == nil {
		m.Reactions = []chat.Reaction{}
	}
	return state.Outcome{
		Entry:   &chat.Entry{Type: chat.EventMessage, ChannelID: c.ChannelID, Seq: seq, UserID: c.Actor, At: c.At, Message: m.Data()},
		Message: &m,
	}
}

// duplicateSend answers a repeated send with the first one's place; an id that is
// another message's is refused.
func (g *group) duplicateSend(c *state.Change, first *messageRow) state.Outcome {
	if first.ChannelID != c.ChannelID || first.UserID != c.Actor || first.bodyHash != state.BodyHash(c.Message) {
		return state.Outcome{Err: &chat.Error{Code: chat.Conflict, Field: "client_id", Message: "This client_id was used for another message"}}
	}
	m := first.Message
	return state.Outcome{
		Entry:   &chat.Entry{Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt, Message: m.Data()},
		Message: &m, Duplicate: true,
	}
}

func (g *group) onMessage(c *state.Change, ch *channelRow, role chat.Role) state.Outcome {
	m := g.messages[c.MessageID]
	if m == nil || m.ChannelID != ch.ID || m.IsDeleted {
		return state.Outcome{Err: notFound("Message")}
	}
	if !c.Allowed.Has(role) && !(c.AllowAuthor && m.UserID == c.Actor) {
		if c.Kind == state.EditMessage {
			return denied("Can only update your own messages")
		}
		return denied("Can only delete your own messages")
	}
	var ev *chat.Entry
	switch c.Kind {
	case state.EditMessage:
		ev = g.edit(c, ch, m)
	case state.DeleteMessage:
		ev = g.deleteMessage(c, ch, m)
	case state.AddReaction:
		if !g.reacted[reactionKey{m.ID, c.Emoji, c.Actor}] && g.emojis[m.ID][c.Emoji] == 0 && len(g.emojis[m.ID]) >= chat.MaxReactions {
			return state.Outcome{Err: chat.Errorf(chat.Conflict, "This message has as many different reactions as it can have")}
		}
		ev = g.react(c, ch, m)
	default:
		ev = g.unreact(c, ch, m)
	}
	copied := m.Message
	return state.Outcome{Entry: ev, Message: &copied}
}

func (g *group) edit(c *state.Change, ch *channelRow, m *messageRow) *chat.Entry {
	if m.Content == c.Content {
		return nil
	}
	m.Content, m.IsEdited, m.EditedAt, m.UpdatedAt, m.touched = c.Content, true, &c.At, c.At, true
	ev := g.event(c, ch, chat.EventMessageUpdated)
	ev.MessageID, ev.Content = m.ID, c.Content
	return ev
}

func (g *group) deleteMessage(c *state.Change, ch *channelRow, m *messageRow) *chat.Entry {
	m.Content, m.IsDeleted, m.DeletedAt, m.UpdatedAt, m.touched = "", true, &c.At, c.At, true
	m.FileInfo, m.MentionedUserIDs, m.ReactionCount, m.Reactions = chat.FileInfo{}, nil, 0, []chat.Reaction{}
	g.queueWrite("-- name: delete_reactions\nDELETE FROM reactions WHERE message_id = $1", m.ID)
	if m.ParentMessageID != nil {
		if parent := g.messages[*m.ParentMessageID]; parent != nil && parent.ThreadReplyCount > 0 {
			parent.ThreadReplyCount--
			parent.touched = true
		}
	}
	ev := g.event(c, ch, chat.EventMessageDeleted)
	ev.MessageID = m.ID
	return ev
}

func (g *group) react(c *state.Change, ch *channelRow, m *messageRow) *chat.Entry {
	key := reactionKey{m.ID, c.Emoji, c.Actor}
	if g.reacted[key] {
		return nil
	}
	g.reacted[key] = true
	if g.emojis[m.ID] == nil {
		g.emojis[m.ID] = make(map[string]int64)
	}
	g.emojis[m.ID][c.Emoji]++
	m.ReactionCount++
	m.touched = true
	g.queueWrite("-- name: insert_reaction\nINSERT INTO reactions (message_id, emoji, user_id, created_at) VALUES ($1, $2, $3, $4)", m.ID, c.Emoji, c.Actor, c.At)
	return g.reaction(c, ch, m, chat.EventMessageReaction)
}

func (g *group) unreact(c *state.Change, ch *channelRow, m *messageRow) *chat.Entry {
	key := reactionKey{m.ID, c.Emoji, c.Actor}
	if !g.reacted[key] {
		return nil
	}
	delete(g.reacted, key)
	if g.emojis[m.ID][c.Emoji]--; g.emojis[m.ID][c.Emoji] <= 0 {
		delete(g.emojis[m.ID], c.Emoji)
	}
	m.ReactionCount--
	m.touched = true
	g.queueWrite("-- name: delete_reaction\nDELETE FROM reactions WHERE message_id = $1 AND emoji = $2 AND user_id = $3", m.ID, c.Emoji, c.Actor)
	return g.reaction(c, ch, m, chat.EventReactionRemoved)
}

func (g *group) reaction(c *state.Change, ch *channelRow, m *messageRow, kind chat.EventType) *chat.Entry {
	ev := g.event(c, ch, kind)
	ev.MessageID, ev.Emoji, ev.ReactionCount = m.ID, c.Emoji, m.ReactionCount
	return ev
}

// queueWrite notes a write that is rare enough to be a statement of its own.
func (g *group) queueWrite(sql string, args ...any) {
	g.writes = append(g.writes, statement{sql, args})
}
