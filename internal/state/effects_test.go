package state

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

func entry(kind chat.EventType, seq chat.Seq, by chat.UserID, set func(*chat.Entry)) NewEntry {
	e := &chat.Entry{Type: kind, ChannelID: channelID, Seq: seq, UserID: by, At: now}
	set(e)
	return NewEntry{changeID, e}
}

func timePointer(at chat.Time) *chat.Time { return &at }

// effectsOf is what each kind of change stores when the owner makes the change of this name to
// a message of theirs. The pointers lead to the rows of the group.
var effectsOf = map[ChangeKind]func(g *Group) *Effects{
	CreateChannel: func(g *Group) *Effects {
		ch := chat.Channel{ID: changeID, Name: "new", ChannelType: chat.Group}
		e := entry(chat.EventChannelJoined, 1, owner, func(e *chat.Entry) {
			e.ChannelID, e.InitialMembers = changeID, []chat.UserID{noOne, member}
		})
		return &Effects{
			Writes: []Write{
				ChannelCreated{Channel: ch},
				MemberAdded{Membership{changeID, noOne}, chat.RoleOwner, now, 0, 0},
				MemberAdded{Membership{changeID, member}, chat.RoleMember, now, 0, 0},
			},
			Heads:   []*Channel{g.Channels[changeID]},
			Entries: []NewEntry{e},
		}
	},
	SendMessage: func(g *Group) *Effects {
		return &Effects{NewMessages: []*Message{g.Messages[changeID]}, Heads: []*Channel{g.Channels[channelID]}}
	},
	EditMessage: func(g *Group) *Effects {
		return &Effects{
			Messages: []*Message{g.Messages[messageID]}, Heads: []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMessageUpdated, 11, owner, func(e *chat.Entry) {
				e.MessageID, e.Content = messageID, "new"
			})},
		}
	},
	DeleteMessage: func(g *Group) *Effects {
		return &Effects{
			Writes:   []Write{ReactionsCleared{messageID}},
			Messages: []*Message{g.Messages[messageID], g.Messages[parentID]}, Heads: []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMessageDeleted, 11, owner, func(e *chat.Entry) { e.MessageID = messageID })},
		}
	},
	AddReaction: func(g *Group) *Effects {
		return &Effects{
			Writes:   []Write{ReactionAdded{Reaction{messageID, "new", owner}, now}},
			Messages: []*Message{g.Messages[messageID]}, Heads: []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMessageReaction, 11, owner, func(e *chat.Entry) {
				e.MessageID, e.Emoji, e.ReactionCount = messageID, "new", 7
			})},
		}
	},
	RemoveReaction: func(g *Group) *Effects {
		return &Effects{
			Writes:   []Write{ReactionRemoved{Reaction{messageID, "old", owner}}},
			Messages: []*Message{g.Messages[messageID]}, Heads: []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventReactionRemoved, 11, owner, func(e *chat.Entry) {
				e.MessageID, e.Emoji, e.ReactionCount = messageID, "old", 5
			})},
		}
	},
	PinMessage:   pinEffects(chat.EventMessagePinned),
	UnpinMessage: pinEffects(chat.EventMessageUnpinned),
	AddMember: func(g *Group) *Effects {
		return &Effects{
			Writes: []Write{MemberAdded{Membership{channelID, noOne}, chat.RoleMember, now, 11, 2}},
			Heads:  []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMemberJoined, 11, owner, func(e *chat.Entry) {
				e.Subject, e.Role = noOne, chat.RoleMember
			})},
		}
	},
	RemoveMember: func(g *Group) *Effects {
		return &Effects{
			Writes:  []Write{MemberRemoved{Membership{channelID, guest}}},
			Heads:   []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMemberLeft, 11, owner, func(e *chat.Entry) { e.Subject = guest })},
		}
	},
	UpdateMember: func(g *Group) *Effects {
		return &Effects{
			Writes: []Write{RoleChanged{Membership{channelID, member}, chat.RoleGuest}},
			Heads:  []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventMemberUpdated, 11, owner, func(e *chat.Entry) {
				e.Subject, e.Role = member, chat.RoleGuest
			})},
		}
	},
	UpdateChannel: func(g *Group) *Effects {
		return &Effects{
			Writes: []Write{ChannelUpdated{chat.Channel{
				ID: channelID, Name: "new", ChannelType: chat.Group, IsPrivate: true,
				MemberCount: 4, MessageCount: 2, LastSeq: 10, UpdatedAt: now,
			}}},
			Heads:   []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(chat.EventChannelUpdated, 11, owner, func(*chat.Entry) {})},
		}
	},
}

func pinEffects(event chat.EventType) func(*Group) *Effects {
	return func(g *Group) *Effects {
		return &Effects{
			Messages: []*Message{g.Messages[messageID]}, Heads: []*Channel{g.Channels[channelID]},
			Entries: []NewEntry{entry(event, 11, owner, func(e *chat.Entry) { e.MessageID = messageID })},
		}
	}
}

func TestEffects(t *testing.T) {
	for _, k := range Kinds() {
		want, ok := effectsOf[k]
		if !ok {
			t.Errorf("%s has no line in the table of this test", k)
			continue
		}
		g := world(owner, change(k, owner))
		out, effects := decide(t, g)
		if out.Err != nil {
			t.Errorf("%s: %v", k, out.Err)
			continue
		}
		wantEffects(t, k.String(), effects, want(g))
	}
}

// counters are the numbers that a change moves.
type counters struct {
	Seq, Messages, Members, Owners, Replies, Reactions int64
	RightsSeq                                          chat.Seq
}

func countersOf(g *Group, channel chat.ID) counters {
	ch := g.Channels[channel]
	return counters{
		ch.LastSeq, ch.MessageCount, ch.MemberCount, g.Owners[channel],
		g.Messages[parentID].ThreadReplyCount, g.Messages[messageID].ReactionCount, ch.RightsSeq,
	}
}

func TestCounters(t *testing.T) {
	none := counters{Seq: 10, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6}
	if got := countersOf(world(owner), channelID); got != none {
		t.Fatalf("before: %+v, want %+v", got, none)
	}
	want := map[ChangeKind]counters{
		CreateChannel:  {Seq: 1, Members: 2, Owners: 1, Replies: 1, Reactions: 6},
		SendMessage:    {Seq: 11, Messages: 3, Members: 4, Owners: 1, Replies: 1, Reactions: 6},
		EditMessage:    {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6},
		DeleteMessage:  {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 0, Reactions: 0},
		AddReaction:    {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 7},
		RemoveReaction: {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 5},
		PinMessage:     {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6},
		UnpinMessage:   {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6},
		AddMember:      {Seq: 11, Messages: 2, Members: 5, Owners: 1, Replies: 1, Reactions: 6, RightsSeq: 11},
		RemoveMember:   {Seq: 11, Messages: 2, Members: 3, Owners: 1, Replies: 1, Reactions: 6, RightsSeq: 11},
		UpdateMember:   {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6, RightsSeq: 11},
		UpdateChannel:  {Seq: 11, Messages: 2, Members: 4, Owners: 1, Replies: 1, Reactions: 6, RightsSeq: 11},
	}
	for _, k := range Kinds() {
		c := change(k, owner)
		g := world(owner, c)
		out, _ := decide(t, g)
		if diff := cmp.Diff(want[k], countersOf(g, c.ChannelID)); diff != "" || out.Err != nil {
			t.Errorf("%s: error %v, counters (-want +got):\n%s", k, out.Err, diff)
		}
		if ch := out.Channel; ch != nil {
			if *ch != g.Channels[c.ChannelID].Channel || out.Entry.Channel != ch {
				t.Errorf("%s: the outcome's channel is %+v, the entry's %+v", k, ch, out.Entry.Channel)
			}
		} else if out.Message == nil {
			t.Errorf("%s: the outcome has neither a channel nor a message", k)
		}
	}
}

func TestMessageRows(t *testing.T) {
	parent := parentID
	reply := change(SendMessage, member)
	reply.Message = &chat.Message{Content: "re", MessageType: chat.Text, ParentMessageID: &parent}
	for what, c := range map[string]struct {
		change Change
		of     chat.ID
		want   chat.Message
	}{
		"a new reply": {reply, changeID, chat.Message{
			ID: changeID, ChannelID: channelID, Seq: 11, Ordinal: 3, UserID: member, Content: "re", MessageType: chat.Text,
			ParentMessageID: &parent, CreatedAt: now, UpdatedAt: now, Reactions: []chat.Reaction{},
			User: &chat.UserRef{ID: member, Name: "Name of member", RawUserMetaData: chat.UserMetaData{Name: "Name of member"}},
		}},
		"the parent of a new reply": {reply, parentID, chat.Message{
			ID: parentID, ChannelID: channelID, Seq: 7, UserID: owner, Content: "parent",
			ThreadReplyCount: 2, ThreadLastReplyAt: timePointer(now),
		}},
		"an edited message": {change(EditMessage, member), messageID, chat.Message{
			ID: messageID, ChannelID: channelID, Seq: 8, UserID: member, Content: "new", ParentMessageID: &parent,
			ReactionCount: 6, IsEdited: true, EditedAt: timePointer(now), UpdatedAt: now,
		}},
		"a deleted message": {change(DeleteMessage, member), messageID, chat.Message{
			ID: messageID, ChannelID: channelID, Seq: 8, UserID: member, ParentMessageID: &parent,
			IsDeleted: true, DeletedAt: timePointer(now), UpdatedAt: now, Reactions: []chat.Reaction{},
		}},
	} {
		g := world(member, c.change)
		if out, _ := decide(t, g); out.Err != nil {
			t.Errorf("%s: %v", what, out.Err)
		}
		if diff := cmp.Diff(c.want, g.Messages[c.of].Message); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// TestTheLastMessagesTimeNeverGoesBack although the clocks of nodes differ.
func TestTheLastMessagesTimeNeverGoesBack(t *testing.T) {
	late, early := change(SendMessage, owner), change(SendMessage, owner)
	early.ID, early.At = chat.NewID(), before
	g := world(owner, late, early)
	g.Decide()
	if at := g.Channels[channelID].LastMessageAt; at == nil || *at != now {
		t.Errorf("the last message is of %v, want %v", at, now)
	}
}

// TestChangesSeeThoseBeforeThem in their group.
func TestChangesSeeThoseBeforeThem(t *testing.T) {
	inOrder := func(changes ...Change) []Change {
		for i := range changes {
			changes[i].ID = chat.NewID()
		}
		return changes
	}
	create := change(CreateChannel, owner)
	send := change(SendMessage, noOne)
	send.ChannelID, send.ID = create.ChannelID, chat.NewID()
	add, remove, drop := change(AddMember, owner), change(RemoveMember, owner), change(DeleteMessage, owner)
	for what, c := range map[string]struct {
		changes []Change
		want    []chat.Code // "" if it takes effect
	}{
		"send after being added":   {inOrder(add, change(SendMessage, noOne)), []chat.Code{"", ""}},
		"send after being removed": {inOrder(remove, change(SendMessage, guest)), []chat.Code{"", chat.Forbidden}},
		"edit after being deleted": {inOrder(drop, change(EditMessage, owner)), []chat.Code{"", chat.NotFound}},
		"delete twice":             {inOrder(drop, drop), []chat.Code{"", chat.NotFound}},
		"send to a new channel":    {[]Change{create, send}, []chat.Code{"", ""}},
	} {
		outcomes, _ := world(owner, c.changes...).Decide()
		for i, want := range c.want {
			switch err := outcomes[i].Err; {
			case want == "" && err != nil, want != "" && err == nil:
				t.Errorf("%s: change %d: error %v, want code %q", what, i, err, want)
			case want != "" && chat.AsError(err).Code != want:
				t.Errorf("%s: change %d: code %s, want %s", what, i, chat.AsError(err).Code, want)
			}
		}
	}
}

// TestNeeds checks that no decision reads a row that Needs does not list.
func TestNeeds(t *testing.T) {
	parent := parentID
	reply := change(SendMessage, owner)
	reply.Message.ParentMessageID = &parent
	direct := change(CreateChannel, owner)
	direct.DirectKey = "a|b"
	bad := change(SendMessage, "a\x00b")
	c, m := []chat.ID{channelID}, []Membership{{channelID, owner}}
	by, change1 := []chat.UserID{owner}, []chat.ID{changeID}
	onMessage := Needs{Channels: c, Memberships: m, Users: by, Messages: []chat.ID{messageID}, Changes: change1}
	onPin := onMessage
	onPin.Pins = c
	onReaction := onMessage
	onReaction.Reactions = []chat.ID{messageID}
	onMember := func(u chat.UserID, users ...chat.UserID) Needs {
		both := append(m[:1:1], Membership{channelID, u})
		return Needs{Channels: c, Memberships: both, Users: users, Changes: change1, Owners: c}
	}
	want := map[ChangeKind]Needs{
		CreateChannel:  {Users: []chat.UserID{member, noOne, owner}, Changes: change1, Directs: []string{"a|b"}},
		SendMessage:    {Channels: c, Memberships: m, Users: by, Messages: []chat.ID{changeID, parentID}},
		EditMessage:    onMessage,
		DeleteMessage:  onMessage,
		AddReaction:    onReaction,
		RemoveReaction: onReaction,
		PinMessage:     onPin,
		UnpinMessage:   onPin,
		AddMember:      onMember(noOne, noOne, owner),
		RemoveMember:   onMember(guest, guest, owner),
		UpdateMember:   onMember(member, member, owner),
		UpdateChannel:  {Channels: c, Memberships: m, Users: by, Changes: change1},
	}
	for _, k := range Kinds() {
		c := change(k, owner)
		switch k {
		case SendMessage:
			c = reply
		case CreateChannel:
			c = direct
		}
		if diff := cmp.Diff(want[k], NewGroup([]Change{c, bad}, DefaultRules()).Needs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
}

func TestLockOrder(t *testing.T) {
	var changes []Change
	for range 8 {
		c := change(EditMessage, owner)
		c.ChannelID = chat.NewID()
		changes = append([]Change{c, c}, changes...)
	}
	ids := NewGroup(changes, DefaultRules()).Needs().Channels
	if len(ids) != 8 {
		t.Fatalf("%d channels, want 8", len(ids))
	}
	for i := range ids[1:] {
		if ids[i].Compare(ids[i+1]) >= 0 {
			t.Errorf("channel %d is not before the next one", i)
		}
	}
}

// TestTextThatNoDatabaseStoresIsRefused in every field of every kind, so that the group's
// statements never fail because of it.
func TestTextThatNoDatabaseStoresIsRefused(t *testing.T) {
	for _, bad := range []string{"a\x00b", "\xff"} {
		for field, set := range map[string]func(*Change){
			"actor":        func(c *Change) { c.Actor = model.UserActor(chat.UserID(bad)) },
			"content":      func(c *Change) { c.Content = bad },
			"emoji":        func(c *Change) { c.Emoji = bad },
			"subject":      func(c *Change) { c.Subject = chat.UserID(bad) },
			"direct key":   func(c *Change) { c.DirectKey = bad },
			"member":       func(c *Change) { c.Members = []InitialMember{{UserID: chat.UserID(bad)}} },
			"patch":        func(c *Change) { c.Patch.Topic = &bad },
			"channel":      func(c *Change) { c.Channel = &chat.Channel{Name: bad} },
			"message":      func(c *Change) { c.Message = &chat.Message{Content: bad} },
			"client id":    func(c *Change) { c.Message = &chat.Message{ClientID: bad} },
			"message type": func(c *Change) { c.Message = &chat.Message{MessageType: chat.MessageType(bad)} },
			"file":         func(c *Change) { c.Message = &chat.Message{FileInfo: chat.FileInfo{FileName: &bad}} },
			"mention":      func(c *Change) { c.Message = &chat.Message{MentionedUserIDs: []chat.UserID{chat.UserID(bad)}} },
		} {
			for _, k := range Kinds() {
				c := change(k, owner)
				set(&c)
				out, effects := decide(t, world(owner, c))
				wantRefusal(t, k.String()+", "+field, out, effects, chat.BadRequest, errNotText.Message)
			}
		}
		if err := CheckText("name", bad); err == nil || !strings.HasPrefix(err.Error(), "name ") {
			t.Errorf("CheckText of %q returns %v", bad, err)
		}
	}
	if err := CheckText("name", "Grüße 👋"); err != nil {
		t.Errorf("CheckText refuses good text: %v", err)
	}
}

func TestAnUnknownKindIsRefused(t *testing.T) {
	for _, k := range []ChangeKind{0, endOfKinds, 255} {
		g := world(owner, change(k, owner))
		if diff := cmp.Diff(Needs{}, g.Needs()); diff != "" {
			t.Errorf("%s needs (-want +got):\n%s", k, diff)
		}
		out, effects := decide(t, g)
		wantRefusal(t, k.String(), out, effects, chat.BadRequest, errUnknownKind.Message)
	}
}
