package state

import "github.com/chowk-chat/chowk/chat"

var (
	errGiveAbove  = chat.Errorf(chat.Forbidden, "You cannot grant a role above your own")
	errRoleAbove  = chat.Errorf(chat.Forbidden, "You cannot grant or revoke a role above your own")
	errOtherAbove = chat.Errorf(chat.Forbidden, "You cannot remove a member with a role above your own")
	errOnlyOwner  = chat.Errorf(chat.Conflict,
		"You are the only owner. Make another member an owner before you leave.")
	errStepDown = chat.Errorf(chat.Conflict,
		"The only owner cannot step down. Make another member an owner first.")
)

func noUser(id chat.UserID) error { return chat.Errorf(chat.NotFound, "There is no user "+string(id)) }

// joinsPublicChannel reports whether actors add themselves to a public channel.
func joinsPublicChannel(c *Change, t *target) bool {
	return c.Subject == c.Actor.User && c.Role == chat.RoleMember &&
		!t.channel.IsPrivate && t.channel.ChannelType != chat.Direct
}

// leaves reports whether a member removes themselves.
func leaves(c *Change, t *target) bool { return c.Subject == c.Actor.User && t.role != chat.NotMember }

// active reports whether there is such a user and they may use the server.
func (g *Group) active(id chat.UserID) bool { u := g.Users[id]; return u != nil && u.IsActive }

// insertMember adds a member who has read everything before joined.
func (g *Group) insertMember(c *Change, ch *Channel, m InitialMember, joined chat.Seq) {
	key := Membership{ch.ID, m.UserID}
	g.Roles[key] = m.Role
	if m.Role == chat.RoleOwner {
		g.Owners[ch.ID]++
	}
	ch.MemberCount++
	g.touch(ch)
	g.write(MemberAdded{key, m.Role, c.At, joined, ch.MessageCount})
}

func (g *Group) addMember(c *Change, t *target) (*chat.Entry, error) {
	switch {
	case !g.active(c.Subject):
		return nil, noUser(c.Subject)
	case g.Roles[Membership{c.ChannelID, c.Subject}] != chat.NotMember:
		return nil, nil
	case t.role != chat.NotMember && above(c.Role, t.role):
		return nil, errGiveAbove
	}
	e := g.entry(c, t.channel, chat.EventMemberJoined)
	e.Subject, e.Role = c.Subject, c.Role
	g.insertMember(c, t.channel, InitialMember{c.Subject, c.Role}, e.Seq)
	return e, nil
}

func (g *Group) removeMember(c *Change, t *target) (*chat.Entry, error) {
	key := Membership{c.ChannelID, c.Subject}
	role := g.Roles[key]
	switch {
	case role == chat.NotMember:
		return nil, notFound("Member")
	case c.Subject != c.Actor.User && above(role, t.role):
		return nil, errOtherAbove
	case role == chat.RoleOwner && g.Owners[c.ChannelID] == 1 && t.channel.MemberCount > 1:
		return nil, errOnlyOwner
	}
	delete(g.Roles, key)
	if role == chat.RoleOwner {
		g.Owners[c.ChannelID]--
	}
	t.channel.MemberCount--
	g.write(MemberRemoved{key})
	e := g.entry(c, t.channel, chat.EventMemberLeft)
	e.Subject = c.Subject
	return e, nil
}

func (g *Group) updateMember(c *Change, t *target) (*chat.Entry, error) {
	key := Membership{c.ChannelID, c.Subject}
	role := g.Roles[key]
	switch {
	case role == chat.NotMember:
		return nil, notFound("Member")
	case role == c.Role:
		return nil, nil
	case above(role, t.role) || above(c.Role, t.role):
		return nil, errRoleAbove
	case role == chat.RoleOwner && g.Owners[c.ChannelID] == 1:
		return nil, errStepDown
	}
	if role == chat.RoleOwner {
		g.Owners[c.ChannelID]--
	}
	if c.Role == chat.RoleOwner {
		g.Owners[c.ChannelID]++
	}
	g.Roles[key] = c.Role
	g.write(RoleChanged{key, c.Role})
	e := g.entry(c, t.channel, chat.EventMemberUpdated)
	e.Subject, e.Role = c.Subject, c.Role
	return e, nil
}
