package state

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Rules maps each kind of change to the roles that may make it.
type Rules [endOfKinds]chat.Roles

// DefaultRules returns the roles of the table kinds. Tests narrow them.
func DefaultRules() *Rules {
	r := new(Rules)
	for i := range kinds {
		r[i] = kinds[i].roles
	}
	return r
}

// CheckSend refuses a plain send (see [Change.IsPlainSend]) by a user with this role in the
// channel. It is the decision of [Group.Decide] for a caller that has not loaded a group.
func (r *Rules) CheckSend(role chat.Role, archived bool) error {
	k := &kinds[SendMessage]
	switch {
	case role == chat.NotMember:
		return chat.ErrAccessDenied
	case archived && k.archive == refused:
		return errArchived
	case !r[SendMessage].Has(role):
		return chat.Errorf(chat.Forbidden, k.refusal)
	}
	return nil
}

var (
	errArchived = chat.Errorf(chat.Conflict, "This channel is archived: it can be read, but not changed")
	errDirect   = chat.Errorf(chat.Conflict, "The members of a direct conversation cannot be changed")
)

// target is what a change applies to, with the actor's role in the channel.
type target struct {
	channel *Channel
	message *Message // nil unless the change is about a message
	role    chat.Role
	sent    *chat.Message // the new message, which sendMessage sets
}

// target finds what the change applies to, and refuses an actor who may not make it.
func (g *Group) target(k *kind, c *Change) (*target, error) {
	if !k.actors.Has(c.Actor.Kind) {
		return nil, chat.Errorf(chat.Forbidden, "This is not available to an actor of the kind "+c.Actor.Kind.String())
	}
	g.current = target{}
	t := &g.current
	if k.about != aNewChannel {
		t.channel = g.Channels[c.ChannelID]
		if t.channel == nil {
			return nil, chat.ErrAccessDenied
		}
		t.role = g.roleOf(c.Actor, c.ChannelID)
	}
	roles := g.rules[c.Kind]
	exempt := k.others != nil && k.others(c, t)
	if t.role == chat.NotMember && !roles.Has(chat.NotMember) && !exempt {
		return nil, chat.ErrAccessDenied
	}
	if err := g.find(t, k, c); err != nil {
		return nil, err
	}
	author := k.author && t.message.UserID == c.Actor.User
	if !roles.Has(t.role) && !author && !exempt {
		return nil, chat.Errorf(chat.Forbidden, k.refusal)
	}
	return t, nil
}

// find looks up the row that the change is about, in a channel that the actor belongs to
// or may join.
func (g *Group) find(t *target, k *kind, c *Change) error {
	if k.archive == refused && t.channel.IsArchived {
		return errArchived
	}
	switch k.about {
	case aMessage:
		t.message = g.Messages[c.MessageID]
		if t.message == nil || t.message.ChannelID != c.ChannelID || t.message.IsDeleted {
			return notFound("Message")
		}
	case aMember:
		if t.channel.ChannelType == chat.Direct {
			return errDirect
		}
	}
	return nil
}

// roleOf returns the actor's role in the channel.
func (g *Group) roleOf(a model.Actor, channel chat.ID) chat.Role {
	if a.Kind == model.ActorSystem {
		return chat.RoleOwner
	}
	return g.Roles[Membership{channel, a.User}]
}

// above reports whether role a is more powerful than role b.
func above(a, b chat.Role) bool { return rank(a) < rank(b) }

func rank(r chat.Role) int {
	for i, name := range chat.RoleNames {
		if name == r {
			return i
		}
	}
	return len(chat.RoleNames)
}

func notFound(what string) error { return chat.Errorf(chat.NotFound, what+" not found") }
