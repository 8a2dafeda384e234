package state

import (
	"slices"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// right is what a test expects of a kind of change. It repeats the table kinds on purpose: a
// change of rights must be made in both places.
type right struct {
	roles    string // that may make the change to what is not theirs
	author   bool   // the message's author may as well
	archived bool   // also in an archived channel
	refusal  string
}

const everyRole = "owner admin member guest"

var rights = map[ChangeKind]right{
	CreateChannel:  {everyRole + " no-one", false, true, "You cannot create channels"},
	SendMessage:    {everyRole, false, false, "Your role in this channel does not let you send messages"},
	EditMessage:    {"", true, false, "Can only update your own messages"},
	DeleteMessage:  {"owner admin", true, false, "Can only delete your own messages"},
	AddReaction:    {everyRole, false, false, "Your role in this channel does not let you add reactions"},
	RemoveReaction: {everyRole, false, false, "Your role in this channel does not let you remove reactions"},
	PinMessage:     {"owner admin", false, false, "Only channel admins/owners can pin messages"},
	UnpinMessage:   {"owner admin", false, false, "Only channel admins/owners can unpin messages"},
	AddMember:      {"owner admin", false, false, "Only channel admins/owners can add members"},
	RemoveMember:   {"owner admin", false, true, "Only channel admins/owners can remove members"},
	UpdateMember:   {"owner admin", false, true, "Only channel admins/owners can change roles"},
	UpdateChannel:  {"owner admin", false, true, "Only channel admins/owners can update channel"},
}

// TestRights checks every kind of change by a member of every role, by someone who is not a
// member, and by the author of the message.
func TestRights(t *testing.T) {
	for _, k := range Kinds() {
		want, ok := rights[k]
		if !ok {
			t.Errorf("%s has no line in the table of this test", k)
		}
		for _, by := range []chat.UserID{owner, admin, member, guest, noOne} {
			for _, author := range []chat.UserID{by, "another"} {
				what := k.String() + " by " + string(by) + ", message of " + string(author)
				out, effects := decide(t, world(author, change(k, by)))
				isMember := by != noOne
				switch {
				case slices.Contains(strings.Fields(want.roles), string(by)), isMember && want.author && by == author:
					if out.Err != nil || out.Entry == nil || out.Duplicate {
						t.Errorf("%s: got %+v, want an entry", what, out)
					}
				case isMember:
					if k == RemoveMember && by == guest {
						continue // they leave
					}
					wantRefusal(t, what, out, effects, chat.Forbidden, want.refusal)
				default:
					wantRefusal(t, what, out, effects, chat.Forbidden, chat.TextAccessDenied)
				}
			}
		}
	}
}

// TestRefusalTexts takes its right from every role, so that every kind's text is seen.
func TestRefusalTexts(t *testing.T) {
	for _, k := range Kinds() {
		g := world("another", change(k, owner))
		g.rules = new(Rules)
		out, effects := decide(t, g)
		if k == CreateChannel {
			// Without roles it is for members, and a new channel has none.
			wantRefusal(t, k.String(), out, effects, chat.Forbidden, chat.TextAccessDenied)
			continue
		}
		wantRefusal(t, k.String(), out, effects, chat.Forbidden, rights[k].refusal)
	}
}

func TestArchivedChannels(t *testing.T) {
	for _, k := range Kinds() {
		g := world(owner, change(k, owner))
		g.Channels[channelID].IsArchived = true
		out, effects := decide(t, g)
		if rights[k].archived {
			if out.Err != nil || out.Entry == nil {
				t.Errorf("%s in an archived channel: got %+v, want an entry", k, out)
			}
			continue
		}
		wantRefusal(t, k.String(), out, effects, chat.Conflict, errArchived.Message)
	}
}

// TestActors checks that a webhook only sends, that bots and keys have the rights of their
// users, that the server needs no membership, and that an unknown actor has no right at all.
func TestActors(t *testing.T) {
	for _, k := range Kinds() {
		for _, kind := range []model.ActorKind{model.ActorBot, model.ActorWebhook, model.ActorKey, model.ActorSystem, 0, 99} {
			for _, by := range []chat.UserID{owner, member, noOne} {
				byUser, _ := decide(t, world("another", change(k, by)))
				c := change(k, by)
				c.Actor.Kind = kind
				out, effects := decide(t, world("another", c))
				what := k.String() + " by " + c.Actor.String()
				switch {
				case !kind.Valid(), kind == model.ActorWebhook && k != SendMessage:
					wantRefusal(t, what, out, effects, chat.Forbidden, "This is not available to an actor of the kind "+kind.String())
				case kind == model.ActorSystem:
					if isAllowed := out.Err == nil; isAllowed != (rights[k].roles != "") {
						t.Errorf("%s: error %v", what, out.Err)
					}
				case (out.Err == nil) != (byUser.Err == nil):
					t.Errorf("%s: error %v, and by a user %v", what, out.Err, byUser.Err)
				}
			}
		}
	}
}

// TestCheckSendAgreesWithDecide holds the two decisions about a plain send together.
func TestCheckSendAgreesWithDecide(t *testing.T) {
	guests := DefaultRules()
	guests[SendMessage] = chat.Members &^ chat.Guests
	for _, rules := range []*Rules{DefaultRules(), guests, new(Rules)} {
		for _, by := range []chat.UserID{owner, admin, member, guest, noOne} {
			for _, archived := range []bool{false, true} {
				g := world(owner, change(SendMessage, by))
				g.rules, g.Channels[channelID].IsArchived = rules, archived
				out, _ := decide(t, g)
				err := rules.CheckSend(g.Roles[Membership{channelID, by}], archived)
				if (err == nil) != (out.Err == nil) || err != nil && err.Error() != out.Err.Error() {
					t.Errorf("%s, archived %v: CheckSend returns %v, Decide %v", by, archived, err, out.Err)
				}
			}
		}
	}
}

func TestJoiningAndLeaving(t *testing.T) {
	public := func(ch *Channel) { ch.IsPrivate = false }
	direct := func(ch *Channel) { ch.IsPrivate, ch.ChannelType = false, chat.Direct }
	private := func(*Channel) {}
	for _, c := range []struct {
		what    string
		kind    ChangeKind
		by      chat.UserID
		role    chat.Role
		channel func(*Channel)
		refusal string // "" if it takes effect
	}{
		{"join a public channel", AddMember, noOne, chat.RoleMember, public, ""},
		{"join a public channel as its admin", AddMember, noOne, chat.RoleAdmin, public, chat.TextAccessDenied},
		{"join a private channel", AddMember, noOne, chat.RoleMember, private, chat.TextAccessDenied},
		{"join a direct channel", AddMember, noOne, chat.RoleMember, direct, chat.TextAccessDenied},
		{"leave as a guest", RemoveMember, guest, "", private, ""},
		{"leave as an admin", RemoveMember, admin, "", private, ""},
		{"leave as the only owner", RemoveMember, owner, "", private, errOnlyOwner.Message},
		{"leave without being a member", RemoveMember, noOne, "", private, chat.TextAccessDenied},
		{"leave a direct channel", RemoveMember, owner, "", direct, errDirect.Message},
	} {
		change := change(c.kind, c.by)
		change.Subject, change.Role = c.by, c.role
		g := world(owner, change)
		c.channel(g.Channels[channelID])
		out, effects := decide(t, g)
		if c.refusal != "" {
			wantRefusal(t, c.what, out, effects, chat.AsError(out.Err).Code, c.refusal)
		} else if out.Err != nil || out.Entry == nil || out.Entry.Subject != c.by {
			t.Errorf("%s: got %+v, want an entry", c.what, out)
		}
	}
}
