package state

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

// TestAChangeTakesEffectOnce commits each kind twice, in one group and in the next.
func TestAChangeTakesEffectOnce(t *testing.T) {
	for _, k := range Kinds() {
		g := world(owner, change(k, owner), change(k, owner))
		outcomes, effects := g.Decide()
		wantDuplicate(t, k.String()+" twice in a group", outcomes[0], outcomes[1])
		once, onceEffects := decide(t, world(owner, change(k, owner)))
		if once.Err != nil {
			t.Errorf("%s: %v", k, once.Err)
		}
		wantEffects(t, k.String()+" twice", effects, onceEffects)

		next := &Group{
			Rows: g.Rows, changes: []Change{change(k, owner)}, outcomes: make([]Outcome, 1), rules: g.rules,
		}
		out, none := decide(t, next)
		wantDuplicate(t, k.String()+" in the next group", outcomes[0], out)
		wantEffects(t, k.String()+" in the next group", none, &Effects{})
	}
}

func wantDuplicate(t *testing.T, what string, first, second Outcome) {
	t.Helper()
	if first.Err != nil || first.Duplicate || second.Err != nil || !second.Duplicate {
		t.Errorf("%s: got %+v and %+v, want an entry and its duplicate", what, first, second)
		return
	}
	if diff := cmp.Diff(first.Entry, second.Entry); diff != "" {
		t.Errorf("%s: the duplicate's entry differs:\n%s", what, diff)
	}
}

// TestARepeatedSendIsAnsweredWhateverItsAuthorMayDoNow, since it was stored.
func TestARepeatedSendIsAnsweredWhateverItsAuthorMayDoNow(t *testing.T) {
	for what, then := range map[string]func(g *Group){
		"removed":      func(g *Group) { delete(g.Roles, Membership{channelID, member}) },
		"archived":     func(g *Group) { g.Channels[channelID].IsArchived = true },
		"edited":       func(g *Group) { g.Messages[changeID].Content = "edited" },
		"no more role": func(g *Group) { g.rules = new(Rules) },
	} {
		g := world(owner, change(SendMessage, member))
		first, _ := decide(t, g)
		then(g)
		again, _ := (&Group{
			Rows: g.Rows, rules: g.rules, outcomes: make([]Outcome, 1), changes: []Change{change(SendMessage, member)},
		}).Decide()
		if again[0].Err != nil || !again[0].Duplicate || again[0].Entry.Seq != first.Entry.Seq {
			t.Errorf("%s: got %+v, want the duplicate of seq %d", what, again[0], first.Entry.Seq)
		}
	}
}

func TestAnIDBelongsToOneMessage(t *testing.T) {
	other := chat.NewID()
	for what, forge := range map[string]func(c *Change){
		"another text":    func(c *Change) { c.Message = &chat.Message{Content: "forged", MessageType: chat.Text} },
		"another type":    func(c *Change) { c.Message = &chat.Message{Content: "new", MessageType: chat.Source} },
		"another author":  func(c *Change) { c.Actor.User = admin },
		"another channel": func(c *Change) { c.ChannelID = other },
	} {
		forged := change(SendMessage, member)
		forge(&forged)
		g := world(owner, change(SendMessage, member), forged)
		g.Channels[other] = &Channel{Channel: chat.Channel{ID: other}}
		g.Roles[Membership{other, member}] = chat.RoleMember
		outcomes, effects := g.Decide()
		if outcomes[0].Err != nil || len(effects.NewMessages) != 1 {
			t.Errorf("%s: the first: %v, %d new messages", what, outcomes[0].Err, len(effects.NewMessages))
		}
		wantRefusal(t, what, outcomes[1], new(Effects), chat.Conflict, errOtherMessage.Message)
	}
}

// TestNothingToDo checks changes to what is already so: they have no entry and no effect.
func TestNothingToDo(t *testing.T) {
	for what, c := range map[string]struct {
		kind      ChangeKind
		change    func(c *Change)
		duplicate bool
	}{
		"an edit to the same text":       {EditMessage, func(c *Change) { c.Content = "old" }, false},
		"a reaction that is there":       {AddReaction, func(c *Change) { c.Emoji = "old" }, false},
		"a reaction that is not there":   {RemoveReaction, func(c *Change) { c.Emoji = "new" }, false},
		"adding a member":                {AddMember, func(c *Change) { c.Subject = guest }, true},
		"the role that a member has":     {UpdateMember, func(c *Change) { c.Role = chat.RoleMember }, true},
		"a patch that changes nothing":   {UpdateChannel, func(c *Change) { old := "old"; c.Patch.Name = &old }, false},
		"an empty patch":                 {UpdateChannel, func(c *Change) { c.Patch = chat.ChannelPatch{} }, false},
		"a direct channel that is there": {CreateChannel, func(c *Change) { c.DirectKey = "a|b" }, true},
	} {
		change := change(c.kind, owner)
		c.change(&change)
		g := world(owner, change)
		g.Directs["a|b"] = channelID
		out, effects := decide(t, g)
		if out.Err != nil || out.Entry != nil || out.Duplicate != c.duplicate {
			t.Errorf("%s: got %+v, want no entry and duplicate %v", what, out, c.duplicate)
		}
		wantEffects(t, what, effects, &Effects{})
	}
}

func TestDirectKeyIsTheSameInEitherOrder(t *testing.T) {
	if a, b := DirectKey("ada", "bob"), DirectKey("bob", "ada"); a != b || a == DirectKey("ada", "bo") {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestDirectPeerIsTheOtherUserOfTheKey(t *testing.T) {
	key := DirectKey("a-b", "c-d")
	want := map[chat.UserID]chat.UserID{"a-b": "c-d", "c-d": "a-b", "eve": "", "a": "", "c-d|a-b": ""}
	got := map[chat.UserID]chat.UserID{}
	for user := range want {
		got[user] = DirectPeer(key, user)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("peers in %s (-want +got):\n%s", key, diff)
	}
	if peer := DirectPeer("", "ada"); peer != "" {
		t.Errorf("a channel without a key has the peer %q", peer)
	}
}
