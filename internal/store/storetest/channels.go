package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

func (b *bench) onMember(kind state.ChangeKind, channel chat.ID, by, subject chat.UserID, role chat.Role) state.Outcome {
	b.t.Helper()
	c := b.change(kind, channel, by)
	c.Subject, c.Role = subject, role
	return b.commit(c)
}

func testMembers(t *testing.T, b *bench) {
	b.users("eve", "dan")
	id := b.channel("ada", "bob")
	add := b.onMember(state.AddMember, id, "ada", "eve", chat.RoleAdmin)
	if add.Err != nil || add.Entry.Type != chat.EventMemberJoined || add.Entry.Channel.MemberCount != 3 || add.Entry.Subject != "eve" {
		t.Errorf("got %+v", add)
	}
	if again := b.onMember(state.AddMember, id, "ada", "eve", chat.RoleAdmin); again.Entry != nil || !again.Duplicate || again.Err != nil {
		t.Errorf("adding a member: %+v", again) // D-45
	}
	b.refused(b.onMember(state.AddMember, id, "bob", "dan", chat.RoleMember), chat.Forbidden)
	b.refused(b.onMember(state.AddMember, id, "eve", "dan", chat.RoleOwner), chat.Forbidden) // D-57
	b.refused(b.onMember(state.AddMember, id, "ada", "no one", chat.RoleMember), chat.NotFound)
	b.refused(b.onMember(state.AddMember, id, "dan", "dan", chat.RoleMember), chat.Forbidden) // it is private
	b.refused(b.onMember(state.RemoveMember, id, "eve", "ada", ""), chat.Forbidden)
	b.refused(b.onMember(state.UpdateMember, id, "ada", "ada", chat.RoleMember), chat.Conflict)
	b.refused(b.onMember(state.RemoveMember, id, "ada", "ada", ""), chat.Conflict)
	if out := b.onMember(state.UpdateMember, id, "ada", "eve", chat.RoleOwner); out.Err != nil || out.Entry.Role != chat.RoleOwner {
		t.Errorf("got %+v", out)
	}
	if out := b.onMember(state.RemoveMember, id, "ada", "ada", ""); out.Err != nil {
		t.Errorf("leaving with another owner there: %v", out.Err)
	}
	b.refused(b.commit(b.message(id, "ada", "x")), chat.Forbidden)
	b.refused(b.onMember(state.RemoveMember, id, "eve", "ada", ""), chat.NotFound)
	members, err := b.s.Members(t.Context(), id, "bob")
	if err != nil || len(members) != 2 || members[1].User.Name == "" {
		t.Errorf("got %+v, %v", members, err)
	}
	_, err = b.s.Members(t.Context(), id, "ada")
	b.fails(err, chat.Forbidden)

	public := b.channelOf(chat.Channel{Name: "open", ChannelType: chat.Group}, "ada")
	b.refused(b.onMember(state.AddMember, public, "dan", "dan", chat.RoleOwner), chat.Forbidden)
	if out := b.onMember(state.AddMember, public, "dan", "dan", chat.RoleMember); out.Err != nil { // D-42
		t.Errorf("joining a public channel: %v", out.Err)
	}
	b.log(id)
}

// testRemovedMember removes a member through one store while he sends through
// another, as two nodes would.
func testRemovedMember(t *testing.T, b *bench) {
	if b.s.Kind() == "sqlite" {
		b.again = func() *store.Store { return b.s } // one node has the file
	}
	other := b.again()
	for range 10 {
		id := b.channel("ada", "bob")
		var sending sync.WaitGroup
		stop := make(chan struct{})
		for w := range 3 {
			s := []*store.Store{b.s, other, other}[w]
			var messages []state.Change
			for range 30 {
				messages = append(messages, b.message(id, "bob", "x"))
			}
			sending.Go(func() { // ends with the test
				for _, m := range messages {
					if _, err := s.Commit(context.WithoutCancel(t.Context()), []state.Change{m}); err != nil {
						t.Errorf("commit: %v", err)
					}
				}
			})
		}
		removed := b.onMember(state.RemoveMember, id, "ada", "bob", "")
		sending.Wait()
		close(stop)
		if removed.Err != nil {
			t.Fatal(removed.Err)
		}
		for _, ev := range b.log(id) {
			if ev.Type == chat.EventMessage && ev.Seq > removed.Entry.Seq {
				t.Fatalf("bob was removed at %d and has a message at %d", removed.Entry.Seq, ev.Seq)
			}
		}
	}
}

func testDirect(t *testing.T, b *bench) {
	b.users("ada", "bob")
	key := state.DirectKey("ada", "bob")
	var opening sync.WaitGroup
	ids := make([]chat.ID, 8)
	for i := range ids {
		users := []chat.UserID{"ada", "bob"}
		c := b.creation(chat.Channel{Name: "DM", ChannelType: chat.Direct, IsPrivate: true}, key, users[i%2], users[(i+1)%2])
		opening.Go(func() { // ends with the test
			outs, err := b.s.Commit(context.WithoutCancel(t.Context()), []state.Change{c})
			if err != nil || outs[0].Err != nil {
				t.Errorf("open: %v, %+v", err, outs)
				return
			}
			ids[i] = outs[0].Channel.ID
		})
	}
	opening.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two direct channels: %v", ids) // D-44
		}
	}
	found, err := b.s.DirectChannel(t.Context(), key, "bob")
	if err != nil || found.ID != ids[0] || found.MyMembership == nil {
		t.Errorf("got %+v, %v", found, err)
	}
	for user, peer := range map[chat.UserID]chat.UserID{"ada": "bob", "bob": "ada"} {
		all, err := b.s.Channels(t.Context(), user, false)
		if err != nil || len(all) != 1 {
			t.Fatalf("channels of %s: %v, %v", user, all, err)
		}
		one, err := b.s.Channel(t.Context(), ids[0], user)
		if err != nil {
			t.Fatal(err)
		}
		want := (&chat.User{ID: peer, Name: "Name of " + string(peer)}).Ref(false)
		if diff := cmp.Diff([]*chat.UserRef{want, want}, []*chat.UserRef{all[0].DirectPeer, one.DirectPeer}); diff != "" {
			t.Errorf("direct peer of %s in the list and by id (-want +got):\n%s", user, diff)
		}
	}
	_, err = b.s.DirectChannel(t.Context(), state.DirectKey("ada", "eve"), "ada")
	b.fails(err, chat.NotFound)
	b.users("eve")
	b.refused(b.onMember(state.AddMember, ids[0], "ada", "eve", chat.RoleMember), chat.Conflict)
	b.refused(b.onMember(state.RemoveMember, ids[0], "ada", "ada", ""), chat.Conflict)
}

func testChannels(t *testing.T, b *bench) {
	quiet, busy := b.channel("ada", "bob"), b.channel("ada", "bob")
	public := b.channelOf(chat.Channel{Name: "100% Open_ness", ChannelType: chat.Class}, "bob")
	b.send(quiet, "ada", "x")
	b.send(busy, "ada", "x")
	all, err := b.s.Channels(t.Context(), "ada", false)
	b.must(err)
	if len(all) != 2 || all[0].ID != busy || all[0].MyMembership.Role != chat.RoleOwner || all[0].MemberCount != 2 || all[0].MessageCount != 1 || all[0].LastSeq != 2 {
		t.Errorf("got %+v", all)
	}
	topic, yes := "news", true
	patch := b.change(state.UpdateChannel, quiet, "ada")
	patch.Patch = chat.ChannelPatch{Topic: &topic, IsArchived: &yes}
	if out := b.commit(patch); out.Err != nil || *out.Entry.Channel.Topic != topic {
		t.Errorf("got %+v", out)
	}
	if all, err = b.s.Channels(t.Context(), "ada", false); err != nil || len(all) != 1 {
		t.Errorf("archived channels are listed: %+v, %v", all, err)
	}
	if all, err = b.s.Channels(t.Context(), "ada", true); err != nil || len(all) != 2 {
		t.Errorf("got %+v, %v", all, err)
	}
	_, err = b.s.Channel(t.Context(), quiet, "eve")
	b.fails(err, chat.Forbidden)
	if ch, err := b.s.Channel(t.Context(), public, "ada"); err != nil || ch.MyMembership != nil {
		t.Errorf("a public channel: %+v, %v", ch, err)
	}
	for text, want := range map[string]int{"": 1, "100% open_": 1, "%": 1, "_": 1, "100_": 0, "x": 0} {
		if found, err := b.s.Browse(t.Context(), "ada", text, 10); err != nil || len(found) != want {
			t.Errorf("browse %q: %+v, %v", text, found, err)
		}
	}
	if found, err := b.s.Browse(t.Context(), "bob", "", 10); err != nil || len(found) != 0 {
		t.Errorf("one's own channels are listed: %+v, %v", found, err)
	}
	level := chat.NotifyMentions
	b.must(b.s.SetMembership(t.Context(), busy, "ada", chat.MembershipPatch{IsStarred: &yes, NotificationLevel: &level}))
	ch, err := b.s.Channel(t.Context(), busy, "ada")
	if err != nil || !ch.IsStarred || !ch.MyMembership.IsStarred || ch.MyMembership.IsMuted || ch.MyMembership.NotificationLevel != level {
		t.Errorf("got %+v, %v", ch.MyMembership, err)
	}
	b.fails(b.s.SetMembership(t.Context(), busy, "eve", chat.MembershipPatch{}), chat.Forbidden)
}

func testHistory(t *testing.T, b *bench) {
	id := b.channel("ada")
	var sent []*chat.Message
	for i := range 25 {
		sent = append(sent, b.send(id, "ada", fmt.Sprint(i)))
	}
	gone := b.change(state.DeleteMessage, id, "ada")
	gone.MessageID = sent[20].ID
	b.commit(gone)
	seen := 0
	q := model.HistoryQuery{ChannelID: id, Viewer: "ada", Limit: 10}
	for last := int64(1 << 40); ; { // D-18
		page, err := b.s.History(t.Context(), q)
		b.must(err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			if m.Seq >= last || m.IsDeleted {
				t.Fatalf("seq %d after %d", m.Seq, last)
			}
			last = m.Seq
			seen++
		}
		q.BeforeID = page[len(page)-1].ID
	}
	if seen != 24 {
		t.Errorf("paging showed %d of 24", seen)
	}
	for name, c := range map[string]struct {
		q           model.HistoryQuery
		first, last string
		n           int
	}{
		"before a time":            {model.HistoryQuery{BeforeTime: sent[5].CreatedAt, Limit: 3}, "4", "2", 3},
		"after a seq":              {model.HistoryQuery{AfterSeq: sent[5].Seq, Limit: 3}, "8", "6", 3},
		"before an id in a thread": {model.HistoryQuery{BeforeID: sent[5].ID, ParentID: chat.NewID(), Limit: 3}, "", "", 0},
	} {
		c.q.ChannelID, c.q.Viewer = id, "ada"
		page, err := b.s.History(t.Context(), c.q)
		if err != nil || len(page) != c.n || c.n > 0 && (page[0].Content != c.first || page[c.n-1].Content != c.last) {
			t.Errorf("%s: %+v, %v", name, page, err)
		}
	}
	_, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "eve", Limit: 1})
	b.fails(err, chat.Forbidden)
	_, err = b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "ada", Limit: 1, BeforeID: chat.NewID()})
	b.fails(err, chat.NotFound)
}

func testLog(t *testing.T, b *bench) {
	b.users("eve")
	id := b.channel("ada", "bob")
	m := b.send(id, "ada", "x")
	edit := b.change(state.EditMessage, id, "ada")
	edit.MessageID, edit.Content = m.ID, "y"
	b.commit(edit)
	react := b.change(state.AddReaction, id, "bob")
	react.MessageID, react.Emoji = m.ID, "👍"
	b.commit(react)
	b.onMember(state.AddMember, id, "ada", "eve", chat.RoleGuest)
	b.onMember(state.RemoveMember, id, "ada", "eve", "")
	log := b.log(id)
	want := []chat.EventType{
		chat.EventChannelJoined, chat.EventMessage, chat.EventMessageUpdated, chat.EventMessageReaction, chat.EventMemberJoined, chat.EventMemberLeft,
	}
	for i, ev := range log {
		if ev.Type != want[i] || ev.ChannelID != id || ev.UserID == "" || ev.At == 0 {
			t.Errorf("entry %d: %+v", i+1, ev)
		}
	}
	if log[0].Channel == nil || len(log[0].InitialMembers) != 2 || log[1].Message.User == nil || log[2].Content != "y" || log[2].MessageID != m.ID ||
		log[3].Emoji != "👍" || log[3].ReactionCount != 1 || log[4].Subject != "eve" || log[4].Role != chat.RoleGuest || log[4].Channel == nil || log[5].Subject != "eve" {
		t.Errorf("got %+v", log)
	}
	part, err := b.s.Log(t.Context(), id, 2, 2)
	if err != nil || len(part) != 2 || part[0].Seq != 3 {
		t.Errorf("got %+v, %v", part, err)
	}
}
