package state

import "github.com/chowk-chat/chowk/chat"

// createChannel creates a channel with its first members. For a direct channel that exists it
// has nothing to do.
func (g *Group) createChannel(c *Change, t *target) (*chat.Entry, error) {
	if id, exists := g.Directs[c.DirectKey]; exists && c.DirectKey != "" {
		t.channel = g.Channels[id]
		return nil, nil
	}
	for _, m := range c.Members {
		if !g.active(m.UserID) {
			return nil, noUser(m.UserID)
		}
	}
	ch := &Channel{Channel: *c.Channel}
	ch.ID, ch.IsArchived, ch.LastSeq, ch.MemberCount, ch.MessageCount = c.ChannelID, false, 0, 0, 0
	g.Channels[ch.ID], t.channel = ch, ch
	if c.DirectKey != "" {
		g.Directs[c.DirectKey] = ch.ID
	}
	g.write(ChannelCreated{ch.Channel, c.DirectKey})
	e := g.entry(c, ch, chat.EventChannelJoined)
	for _, m := range c.Members {
		if _, twice := g.Roles[Membership{ch.ID, m.UserID}]; twice {
			continue
		}
		g.insertMember(c, ch, m, 0)
		e.InitialMembers = append(e.InitialMembers, m.UserID)
	}
	return e, nil
}

func (g *Group) updateChannel(c *Change, t *target) (*chat.Entry, error) {
	ch, p := t.channel, c.Patch
	old := ch.Channel
	if p.Name != nil {
		ch.Name = *p.Name
	}
	if p.Description != nil {
		ch.Description = p.Description
	}
	if p.Topic != nil {
		ch.Topic = p.Topic
	}
	if p.IsArchived != nil {
		ch.IsArchived = *p.IsArchived
	}
	if ch.Name == old.Name && same(ch.Description, old.Description) && same(ch.Topic, old.Topic) &&
		ch.IsArchived == old.IsArchived {
		return nil, nil
	}
	ch.UpdatedAt = c.At
	g.write(ChannelUpdated{ch.Channel})
	return g.entry(c, ch, chat.EventChannelUpdated), nil
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }
