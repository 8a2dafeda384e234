package store

import (
	"github.com/chowk-chat/chowk/chat"
)

// What the commit does with messages.

func (g *group) send(c *chat.Change, ch *channelRow) chat.Outcome {
	if first := g.messages[c.ID]; first != nil {
		return g.sentBefore(c, first)
	}
	if id := c.Message.ParentMessageID; id != nil {
		parent := g.messages[*id]
		if parent == nil || parent.ChannelID != ch.ID || parent.IsDeleted {
			return chat.Outcome{Err: &chat.Error{Code: chat.NotFound, Message: "The message that this replies to is not in this channel (parent_message_id)"}}
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
	g.messages[c.ID] = &messageRow{Message: *out.Message, bodyHash: c.Message.BodyHash(), isNew: true}
	return out
}

// sent is the outcome of a send at its place in the channel.
func sent(c *chat.Change, seq chat.Seq, ordinal int64, author *chat.UserRef) chat.Outcome {
	m := *c.Message
	m.ID, m.Seq, m.Ordinal, m.ChannelID, m.UserID, m.CreatedAt, m.UpdatedAt, m.User = c.ID, seq, ordinal, c.ChannelID, c.Actor, c.At, c.At, author
	if m.Reactions == nil {
		m.Reactions = []chat.Reaction{}
	}
	return chat.Outcome{
		Event:   &chat.Event{Type: chat.EventMessage, ChannelID: c.ChannelID, Seq: seq, UserID: c.Actor, At: c.At, Message: &m},
		Message: &m,
	}
}

// sentBefore answers a repeated send with the first one's place; an id that is
// another message's is refused.
func (g *group) sentBefore(c *chat.Change, first *messageRow) chat.Outcome {
	if first.ChannelID != c.ChannelID || first.UserID != c.Actor || first.bodyHash != c.Message.BodyHash() {
		return chat.Outcome{Err: &chat.Error{Code: chat.Conflict, Field: "client_id", Message: "This client_id was used for another message"}}
	}
	m := first.Message
	return chat.Outcome{
		Event:   &chat.Event{Type: chat.EventMessage, ChannelID: m.ChannelID, Seq: m.Seq, UserID: m.UserID, At: m.CreatedAt, Message: &m},
		Message: &m, Duplicate: true,
	}
}

func (g *group) onMessage(c *chat.Change, ch *channelRow, role chat.Role) chat.Outcome {
	m := g.messages[c.MessageID]
	if m == nil || m.ChannelID != ch.ID || m.IsDeleted {
		return chat.Outcome{Err: notFound("Message")}
	}
	if !c.Allowed.Has(role) && !(c.OrAuthor && m.UserID == c.Actor) {
		if c.Kind == chat.EditMessage {
			return denied("Can only update your own messages")
		}
		return denied("Can only delete your own messages")
	}
	var ev *chat.Event
	switch c.Kind {
	case chat.EditMessage:
		ev = g.edit(c, ch, m)
	case chat.DeleteMessage:
		ev = g.remove(c, ch, m)
	case chat.AddReaction:
		if !g.reacted[reactionKey{m.ID, c.Emoji, c.Actor}] && g.emojis[m.ID][c.Emoji] == 0 && len(g.emojis[m.ID]) >= chat.MaxReactions {
			return chat.Outcome{Err: chat.Errorf(chat.Conflict, "This message has as many different reactions as it can have")}
		}
		ev = g.react(c, ch, m)
	default:
		ev = g.unreact(c, ch, m)
	}
	copied := m.Message
	return chat.Outcome{Event: ev, Message: &copied}
}

func (g *group) edit(c *chat.Change, ch *channelRow, m *messageRow) *chat.Event {
	if m.Content == c.Content {
		return nil
	}
	m.Content, m.IsEdited, m.EditedAt, m.UpdatedAt, m.touched = c.Content, true, &c.At, c.At, true
	ev := g.event(c, ch, chat.EventMessageUpdated)
	ev.MessageID, ev.Content = m.ID, c.Content
	return ev
}

func (g *group) remove(c *chat.Change, ch *channelRow, m *messageRow) *chat.Event {
	m.Content, m.IsDeleted, m.DeletedAt, m.UpdatedAt, m.touched = "", true, &c.At, c.At, true
	m.FileInfo, m.MentionedUserIDs, m.ReactionCount, m.Reactions = chat.FileInfo{}, nil, 0, []chat.Reaction{}
	g.also("-- name: delete_reactions\nDELETE FROM reactions WHERE message_id = $1", m.ID)
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

func (g *group) react(c *chat.Change, ch *channelRow, m *messageRow) *chat.Event {
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
	g.also("-- name: insert_reaction\nINSERT INTO reactions (message_id, emoji, user_id, created_at) VALUES ($1, $2, $3, $4)", m.ID, c.Emoji, c.Actor, c.At)
	return g.reaction(c, ch, m, chat.EventMessageReaction)
}

func (g *group) unreact(c *chat.Change, ch *channelRow, m *messageRow) *chat.Event {
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
	g.also("-- name: delete_reaction\nDELETE FROM reactions WHERE message_id = $1 AND emoji = $2 AND user_id = $3", m.ID, c.Emoji, c.Actor)
	return g.reaction(c, ch, m, chat.EventReactionRemoved)
}

func (g *group) reaction(c *chat.Change, ch *channelRow, m *messageRow, kind chat.EventType) *chat.Event {
	ev := g.event(c, ch, kind)
	ev.MessageID, ev.Emoji, ev.ReactionCount = m.ID, c.Emoji, m.ReactionCount
	return ev
}

// also notes a write that is rare enough to be a statement of its own.
func (g *group) also(sql string, args ...any) { g.writes = append(g.writes, statement{sql, args}) }
