package state

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// TestRefusals checks what a change is refused for beyond the actor's role.
func TestRefusals(t *testing.T) {
	var set setter
	other := chat.NewID()
	noMessage, noMember := notFound("Message"), notFound("Member")
	deleted := func(g *Group) { g.Messages[messageID].IsDeleted = true }
	elsewhere := func(g *Group) { g.Messages[messageID].ChannelID = other }
	full := func(g *Group) {
		for i := range chat.MaxReactions - 1 {
			g.Emoji[messageID][fmt.Sprint(i)] = 1
		}
	}
	pinned := func(g *Group) { g.Pins[channelID] = chat.MaxPins }
	untouched := func(*Group) {}
	secondOwner := func(g *Group) {
		g.Roles[Membership{channelID, guest}] = chat.RoleOwner
		g.Owners[channelID] = 2
	}
	for _, c := range []struct {
		what   string
		kind   ChangeKind
		by     chat.UserID
		world  func(*Group)
		change func(*Change)
		want   error // nil if it takes effect
	}{
		{"an unknown channel", EditMessage, owner, untouched, set.channel(other), chat.ErrAccessDenied},
		{"a reply to nothing", SendMessage, owner, untouched, set.parent(other), errNoParent},
		{"a reply to what is deleted", SendMessage, owner, deleted, set.parent(messageID), errNoParent},
		{"a reply to another channel", SendMessage, owner, elsewhere, set.parent(messageID), errNoParent},
		{"a message that is not there", EditMessage, owner, untouched, set.message(other), noMessage},
		{"a deleted message", AddReaction, owner, deleted, set.nothing, noMessage},
		{"a message of another channel", DeleteMessage, owner, elsewhere, set.nothing, noMessage},
		{"one reaction too many", AddReaction, owner, full, set.nothing, errReactions},
		{"a reaction that others have", AddReaction, owner, full, set.emoji("7"), nil},
		{"one pin too many", PinMessage, owner, pinned, set.nothing, errPins},
		{"an unpin in a channel full of pins", UnpinMessage, owner, pinned, set.nothing, nil},
		{"an unknown user", AddMember, owner, untouched, set.subject("x"), noUser("x")},
		{"a disabled user", AddMember, owner, untouched, set.subject(gone), noUser(gone)},
		{"a role above one's own", AddMember, admin, untouched, set.role(chat.RoleOwner), errGiveAbove},
		{"a channel with a disabled user", CreateChannel, owner, untouched, set.member(gone), noUser(gone)},
		{"removing a user who is not a member", RemoveMember, owner, untouched, set.subject(noOne), noMember},
		{"removing the owner as an admin", RemoveMember, admin, untouched, set.subject(owner), errOtherAbove},
		{"removing the other owner", RemoveMember, owner, secondOwner, set.nothing, nil},
		{"the role of a user who is not a member", UpdateMember, owner, untouched, set.subject(noOne), noMember},
		{"the owner's role as an admin", UpdateMember, admin, untouched, set.subject(owner), errRoleAbove},
		{"a role above one's own to a member", UpdateMember, admin, untouched, set.role(chat.RoleOwner), errRoleAbove},
		{"the only owner steps down", UpdateMember, owner, untouched, set.subject(owner), errStepDown},
		{"an owner steps down", UpdateMember, owner, secondOwner, set.subject(owner), nil},
	} {
		change := change(c.kind, c.by)
		c.change(&change)
		g := world(owner, change)
		c.world(g)
		out, effects := decide(t, g)
		if c.want != nil {
			wantRefusal(t, c.what, out, effects, chat.AsError(c.want).Code, c.want.Error())
		} else if out.Err != nil || out.Entry == nil {
			t.Errorf("%s: got %+v, want an entry", c.what, out)
		}
	}
}

// setter returns functions that set one field of a change.
type setter struct{}

func (setter) nothing(*Change) {}

func (setter) channel(id chat.ID) func(*Change) { return func(c *Change) { c.ChannelID = id } }

func (setter) message(id chat.ID) func(*Change) { return func(c *Change) { c.MessageID = id } }

func (setter) parent(id chat.ID) func(*Change) {
	return func(c *Change) { c.Message.ParentMessageID = &id }
}

func (setter) emoji(s string) func(*Change) { return func(c *Change) { c.Emoji = s } }

func (setter) subject(id chat.UserID) func(*Change) { return func(c *Change) { c.Subject = id } }

func (setter) role(r chat.Role) func(*Change) { return func(c *Change) { c.Role = r } }

func (setter) member(id chat.UserID) func(*Change) {
	return func(c *Change) { c.Members[1].UserID = id }
}

// TestTheOnlyOwnerMayLeaveAnEmptyChannel, which no one else could manage.
func TestTheOnlyOwnerMayLeaveAnEmptyChannel(t *testing.T) {
	c := change(RemoveMember, owner)
	c.Subject = owner
	g := world(owner, c)
	g.Channels[channelID].MemberCount = 1
	if out, _ := decide(t, g); out.Err != nil {
		t.Errorf("got %v", out.Err)
	}
}

// TestARemovedReactionMakesRoomForAnother once no one else has it.
func TestARemovedReactionMakesRoomForAnother(t *testing.T) {
	remove, add := change(RemoveReaction, owner), change(AddReaction, owner)
	remove.ID = chat.NewID()
	for others, want := range map[int64]error{0: nil, 1: errReactions} {
		g := world(owner, remove, add)
		g.Emoji[messageID] = map[string]int64{"old": 1 + others}
		for i := range chat.MaxReactions - 1 {
			g.Emoji[messageID][fmt.Sprint(i)] = 1
		}
		outcomes, _ := g.Decide()
		if err := outcomes[1].Err; outcomes[0].Err != nil || (err == nil) != (want == nil) {
			t.Errorf("with the reaction of %d others: error %v, want %v", others, err, want)
		}
	}
}
