package state

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

var (
	channelID = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-000000000001")
	messageID = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-000000000002")
	parentID  = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-000000000003")
	changeID  = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-000000000004")
)

// The users are called by their roles in the channel; no one is a member of nothing, and
// gone is a disabled account.
const (
	owner  chat.UserID = "owner"
	admin  chat.UserID = "admin"
	member chat.UserID = "member"
	guest  chat.UserID = "guest"
	noOne  chat.UserID = "no-one"
	gone   chat.UserID = "gone"
)

// now is the time of the changes, before that of what exists.
const (
	before chat.Time = 1_000_000
	now    chat.Time = 2_000_000
)

// world returns a group of changes with its rows: a private channel with a member of each role
// and a message by author, which is a reply and has a reaction "old" of every user.
func world(author chat.UserID, changes ...Change) *Group {
	g := NewGroup(changes, DefaultRules())
	g.Channels[channelID] = &Channel{Channel: chat.Channel{
		ID: channelID, Name: "old", ChannelType: chat.Group, IsPrivate: true,
		MemberCount: 4, MessageCount: 2, LastSeq: 10,
	}}
	for _, u := range []chat.UserID{owner, admin, member, guest} {
		g.Roles[Membership{channelID, u}] = chat.Role(u)
	}
	for _, u := range []chat.UserID{owner, admin, member, guest, noOne, gone} {
		g.Users[u] = &chat.User{ID: u, Name: "Name of " + string(u), IsActive: u != gone}
		g.Reactions[Reaction{messageID, "old", u}] = true
	}
	g.Owners[channelID] = 1
	g.Emoji[messageID] = map[string]int64{"old": 6}
	parent := parentID
	g.Messages[messageID] = &Message{Message: chat.Message{
		ID: messageID, ChannelID: channelID, Seq: 8, UserID: author, Content: "old", ParentMessageID: &parent,
		ReactionCount: 6, IsPinned: len(changes) > 0 && changes[0].Kind == UnpinMessage,
	}}
	g.Messages[parentID] = &Message{Message: chat.Message{
		ID: parentID, ChannelID: channelID, Seq: 7, UserID: owner, Content: "parent", ThreadReplyCount: 1,
	}}
	return g
}

// change returns a change that takes effect in a world, whatever its kind. It fills in the
// fields of all kinds, so a new kind needs a line here only if it needs something else.
func change(kind ChangeKind, by chat.UserID) Change {
	name := "new"
	c := Change{
		Kind: kind, ID: changeID, ChannelID: channelID, Actor: model.UserActor(by), At: now,
		Message:   &chat.Message{Content: "new", MessageType: chat.Text},
		MessageID: messageID, Content: "new", Emoji: "new", Subject: noOne, Role: chat.RoleMember,
		Patch:   chat.ChannelPatch{Name: &name},
		Channel: &chat.Channel{Name: "new", ChannelType: chat.Group},
		Members: []InitialMember{{noOne, chat.RoleOwner}, {member, chat.RoleMember}},
	}
	switch kind {
	case CreateChannel:
		c.ChannelID = changeID
	case RemoveReaction:
		c.Emoji = "old"
	case RemoveMember:
		c.Subject = guest
	case UpdateMember:
		c.Subject, c.Role = member, chat.RoleGuest
	}
	return c
}

// decide returns what became of the only change of a group.
func decide(t *testing.T, g *Group) (Outcome, *Effects) {
	t.Helper()
	outcomes, effects := g.Decide()
	if len(outcomes) != 1 {
		t.Fatalf("%d outcomes, want 1", len(outcomes))
	}
	return outcomes[0], effects
}

// wantRefusal checks that a change was refused with the code and the text, and stores nothing.
func wantRefusal(t *testing.T, what string, out Outcome, e *Effects, code chat.Code, text string) {
	t.Helper()
	var refusal *chat.Error
	if !errors.As(out.Err, &refusal) {
		t.Errorf("%s: got error %v, want %q", what, out.Err, text)
		return
	}
	if refusal.Code != code || refusal.Message != text {
		t.Errorf("%s: got %s %q, want %s %q", what, refusal.Code, refusal.Message, code, text)
	}
	wantEffects(t, what, e, &Effects{})
}

func wantEffects(t *testing.T, what string, got, want *Effects) {
	t.Helper()
	options := cmp.Options{
		cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Channel{}, Message{}),
		cmpopts.IgnoreFields(chat.Entry{}, "Message", "Channel"), cmpopts.IgnoreFields(Message{}, "BodyHash"),
	}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("%s: effects (-want +got):\n%s", what, diff)
	}
}
