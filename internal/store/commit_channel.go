package store

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// What the commit does with channels and their members.

func (g *group) create(c *state.Change) state.Outcome {
	if c.DirectKey != "" {
		if id, there := g.directs[c.DirectKey]; there {
			existing := g.channels[id].Channel
			return state.Outcome{Channel: &existing, Duplicate: true}
		}
	}
	for _, f := range c.Members {
		if u := g.users[f.UserID]; u == nil || !u.IsActive {
			return state.Outcome{Err: chat.Errorf(chat.NotFound, "There is no user "+string(f.UserID))}
		}
	}
	ch := &channelRow{Channel: *c.Channel, isNew: true}
	ch.ID, ch.LastSeq, ch.MemberCount, ch.MessageCount = c.ChannelID, 0, 0, 0
	g.channels[ch.ID] = ch
	if c.DirectKey != "" {
		g.directs[c.DirectKey] = ch.ID
	}
	ev := g.event(c, ch, chat.EventChannelJoined)
	for _, f := range c.Members {
		key := pairKey{ch.ID, f.UserID}
		if _, twice := g.roles[key]; twice {
			continue
		}
		g.insertMember(c, ch, f.UserID, f.Role, 0)
		ev.InitialMembers = append(ev.InitialMembers, f.UserID)
	}
	var direct *string
	if c.DirectKey != "" {
		direct = &c.DirectKey
	}
	// Before its members and its first entry; what the group does to it later is an
	// update.
	g.writes = append([]statement{{
		`-- name: insert_channel
		INSERT INTO channels (id, name, description, channel_type, is_private, is_archived, created_by, tutor_id, subject, topic, direct_key,
			member_count, message_count, last_seq, last_message_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 0, $12, $13)`,
		[]any{
			ch.ID, ch.Name, ch.Description, string(ch.ChannelType), ch.IsPrivate, false, ch.CreatedBy, ch.TutorID, ch.Subject, ch.Topic, direct,
			ch.CreatedAt, ch.UpdatedAt,
		},
	}}, g.writes...)
	copied := ch.Channel
	ev.Channel = &copied
	return state.Outcome{Entry: ev, Channel: &copied}
}

// insertMember makes a user a member. What was there before counts as read.
func (g *group) insertMember(c *state.Change, ch *channelRow, user chat.UserID, role chat.Role, joined chat.Seq) {
	g.roles[pairKey{ch.ID, user}] = role
	if role == chat.RoleOwner {
		g.owners[ch.ID]++
	}
	ch.MemberCount++
	ch.touched = true
	g.queueWrite(`-- name: insert_member
		INSERT INTO members (channel_id, user_id, role, joined_at, last_read_at, last_read_seq, joined_seq, read_ordinal) VALUES ($1, $2, $3, $4, 0, $5, $5, $6)`,
		ch.ID, user, string(role), c.At, joined, ch.MessageCount)
}

func (g *group) onMember(c *state.Change, ch *channelRow, role chat.Role) state.Outcome {
	if ch.ChannelType == chat.Direct {
		return state.Outcome{Err: chat.Errorf(chat.Conflict, "A direct channel has the same two members for ever")}
	}
	if !c.Allowed.Has(role) && !joinsPublic(c, ch) {
		if c.Kind == state.AddMember {
			return denied("Only channel admins/owners can add members")
		}
		return denied("Only channel admins/owners can change members")
	}
	var ev *chat.Entry
	var err error
	switch c.Kind {
	case state.AddMember:
		ev, err = g.addMember(c, ch, role)
	case state.RemoveMember:
		ev, err = g.removeMember(c, ch, role)
	default:
		ev, err = g.updateMember(c, ch, role)
	}
	if err != nil {
		return state.Outcome{Err: err}
	}
	copied := ch.Channel
	if ev != nil {
		ev.Channel = &copied
	}
	return state.Outcome{Entry: ev, Channel: &copied, Duplicate: ev == nil}
}

func (g *group) addMember(c *state.Change, ch *channelRow, by chat.Role) (*chat.Entry, error) {
	u := g.users[c.Subject]
	if u == nil || !u.IsActive {
		return nil, chat.Errorf(chat.NotFound, "There is no user "+string(c.Subject))
	}
	if g.roles[pairKey{ch.ID, c.Subject}] != chat.NotMember {
		return nil, nil
	}
	if by != chat.NotMember && above(c.Role, by) {
		return nil, chat.Errorf(chat.Forbidden, "You cannot give a role above your own")
	}
	ev := g.event(c, ch, chat.EventMemberJoined)
	ev.Subject, ev.Role = c.Subject, c.Role
	g.insertMember(c, ch, c.Subject, c.Role, ev.Seq)
	return ev, nil
}

func (g *group) removeMember(c *state.Change, ch *channelRow, by chat.Role) (*chat.Entry, error) {
	key := pairKey{ch.ID, c.Subject}
	role := g.roles[key]
	switch {
	case role == chat.NotMember:
		return nil, notFound("Member")
	case c.Subject != c.Actor && above(role, by):
		return nil, chat.Errorf(chat.Forbidden, "You cannot remove a member whose role is above your own")
	case role == chat.RoleOwner && g.owners[ch.ID] == 1 && ch.MemberCount > 1:
		return nil, chat.Errorf(chat.Conflict, "The last owner cannot leave while there are other members: make one of them an owner first")
	}
	delete(g.roles, key)
	if role == chat.RoleOwner {
		g.owners[ch.ID]--
	}
	ch.MemberCount--
	g.queueWrite("-- name: delete_member\nDELETE FROM members WHERE channel_id = $1 AND user_id = $2", ch.ID, c.Subject)
	ev := g.event(c, ch, chat.EventMemberLeft)
	ev.Subject = c.Subject
	return ev, nil
}

func (g *group) updateMember(c *state.Change, ch *channelRow, by chat.Role) (*chat.Entry, error) {
	key := pairKey{ch.ID, c.Subject}
	role := g.roles[key]
	switch {
	case role == chat.NotMember:
		return nil, notFound("Member")
	case role == c.Role:
		return nil, nil
	case above(role, by) || above(c.Role, by):
		return nil, chat.Errorf(chat.Forbidden, "You cannot give or take a role above your own")
	case role == chat.RoleOwner && g.owners[ch.ID] == 1:
		return nil, chat.Errorf(chat.Conflict, "The last owner cannot step down: make another member an owner first")
	}
	if role == chat.RoleOwner {
		g.owners[ch.ID]--
	}
	if c.Role == chat.RoleOwner {
		g.owners[ch.ID]++
	}
	g.roles[key] = c.Role
	g.queueWrite("-- name: update_role\nUPDATE members SET role = $3 WHERE channel_id = $1 AND user_id = $2", ch.ID, c.Subject, string(c.Role))
	ev := g.event(c, ch, chat.EventMemberUpdated)
	ev.Subject, ev.Role = c.Subject, c.Role
	return ev, nil
}

// above says whether role a is more powerful than b.
func above(a, b chat.Role) bool { return rank(a) < rank(b) }

func rank(r chat.Role) int {
	for i, name := range chat.RoleNames {
		if name == r {
			return i
		}
	}
	return len(chat.RoleNames)
}

func (g *group) update(c *state.Change, ch *channelRow, role chat.Role) state.Outcome {
	if !c.Allowed.Has(role) {
		return denied("Only channel admins/owners can update channel")
	}
	p := c.Patch
	changed := false
	if p.Name != nil && *p.Name != ch.Name {
		ch.Name, changed = *p.Name, true
	}
	if p.Description != nil && !same(p.Description, ch.Description) {
		ch.Description, changed = p.Description, true
	}
	if p.Topic != nil && !same(p.Topic, ch.Topic) {
		ch.Topic, changed = p.Topic, true
	}
	if p.IsArchived != nil && *p.IsArchived != ch.IsArchived {
		ch.IsArchived, changed = *p.IsArchived, true
	}
	var ev *chat.Entry
	if changed {
		ch.UpdatedAt = c.At
		ev = g.event(c, ch, chat.EventChannelUpdated)
		g.queueWrite("-- name: update_channel\nUPDATE channels SET name = $2, description = $3, topic = $4, is_archived = $5, updated_at = $6 WHERE id = $1",
			ch.ID, ch.Name, ch.Description, ch.Topic, ch.IsArchived, ch.UpdatedAt)
	}
	copied := ch.Channel
	if ev != nil {
		ev.Channel = &copied
	}
	return state.Outcome{Entry: ev, Channel: &copied}
}

func same(a, b *string) bool { return a != nil && b != nil && *a == *b }
