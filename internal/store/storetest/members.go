package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

func testMembers(t *testing.T, b *bench) {
	b.users("eve", "dan")
	id := b.channel("ada", "bob")
	add := b.member(state.AddMember, id, "ada", "eve", chat.RoleAdmin)
	out := b.commit(add)
	want := *out.Channel
	want.MemberCount, want.LastSeq = 3, 2
	b.equal("the entry", &chat.Entry{
		Type: chat.EventMemberJoined, ChannelID: id, Seq: 2, UserID: "ada", At: add.At, Subject: "eve",
		Role: chat.RoleAdmin, Channel: &want,
	}, out.Entry)
	again := b.commit(b.member(state.AddMember, id, "ada", "eve", chat.RoleAdmin)) // D-45
	if again.Entry != nil || !again.Duplicate {
		t.Errorf("adding a member: got %+v, want a duplicate without an entry", again)
	}
	b.refused(b.try(b.member(state.AddMember, id, "bob", "dan", chat.RoleMember)), chat.Forbidden)
	b.refused(b.try(b.member(state.AddMember, id, "eve", "dan", chat.RoleOwner)), chat.Forbidden) // D-57
	b.refused(b.try(b.member(state.AddMember, id, "ada", "no one", chat.RoleMember)), chat.NotFound)
	b.refused(b.try(b.member(state.AddMember, id, "dan", "dan", chat.RoleMember)), chat.Forbidden) // it is private
	b.refused(b.try(b.member(state.RemoveMember, id, "eve", "ada", "")), chat.Forbidden)
	b.refused(b.try(b.member(state.RemoveMember, id, "ada", "dan", "")), chat.NotFound)
	b.log(id)
}

func testLastOwner(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	b.refused(b.try(b.member(state.UpdateMember, id, "ada", "ada", chat.RoleMember)), chat.Conflict)
	b.refused(b.try(b.member(state.RemoveMember, id, "ada", "ada", "")), chat.Conflict)
	promoted := b.commit(b.member(state.UpdateMember, id, "ada", "bob", chat.RoleOwner))
	if promoted.Entry.Role != chat.RoleOwner {
		t.Errorf("the entry has the role %q, want owner", promoted.Entry.Role)
	}
	b.commit(b.member(state.RemoveMember, id, "ada", "ada", "")) // there is another owner
	b.refused(b.try(b.message(id, "ada", "x")), chat.Forbidden)
	b.refused(b.try(b.member(state.RemoveMember, id, "bob", "ada", "")), chat.NotFound)

	members, err := b.s.Members(t.Context(), id, "bob")
	b.must(err)
	joined := b.log(id)[0].At
	b.equal("the members", []chat.Member{{
		UserID: "bob", Role: chat.RoleOwner, JoinedAt: joined, User: (&chat.User{ID: "bob", Name: "Name of bob"}).Ref(false),
	}}, members)
	_, err = b.s.Members(t.Context(), id, "ada")
	b.fails(err, chat.Forbidden)
}

func testPublicChannel(_ *testing.T, b *bench) {
	b.users("ada", "dan")
	id := b.channelOf(chat.Channel{Name: "open", ChannelType: chat.Group}, "ada")
	b.refused(b.try(b.member(state.AddMember, id, "dan", "dan", chat.RoleOwner)), chat.Forbidden)
	b.commit(b.member(state.AddMember, id, "dan", "dan", chat.RoleMember)) // D-42
	b.log(id)
}

// testRemovedMember removes a member through one store while they send through another, as
// two nodes would.
func testRemovedMember(t *testing.T, b *bench) {
	other := b.s
	if b.s.Kind() == "postgres" { // only one node can have SQLite's file
		other = b.again()
	}
	for range 10 {
		id := b.channel("ada", "bob")
		var sending sync.WaitGroup
		for _, s := range []*store.Store{b.s, other, other} {
			var messages []state.Change
			for range 30 {
				messages = append(messages, b.message(id, "bob", "x"))
			}
			sending.Go(func() { // ends when all are sent
				for _, m := range messages {
					if _, err := s.Commit(context.WithoutCancel(t.Context()), []state.Change{m}); err != nil {
						t.Errorf("commit: %v", err)
					}
				}
			})
		}
		removed := b.try(b.member(state.RemoveMember, id, "ada", "bob", ""))
		sending.Wait()
		b.must(removed.Err)
		for _, e := range b.log(id) {
			if e.Type == chat.EventMessage && e.Seq > removed.Entry.Seq {
				t.Fatalf("bob was removed at %d and has a message at %d", removed.Entry.Seq, e.Seq)
			}
		}
	}
}

// testDirect opens a direct channel many times at once: there is one (D-44).
func testDirect(t *testing.T, b *bench) {
	b.users("ada", "bob", "eve")
	key := state.DirectKey("ada", "bob")
	direct := chat.Channel{Name: "DM", ChannelType: chat.Direct, IsPrivate: true}
	var opening sync.WaitGroup
	ids := make([]chat.ID, 8)
	for i := range ids {
		users := []chat.UserID{"ada", "bob"}
		c := b.creation(direct, key, users[i%2], users[(i+1)%2])
		opening.Go(func() { // ends when the channel is open
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
			t.Fatalf("there are two direct channels: %v", ids)
		}
	}
	found, err := b.s.DirectChannel(t.Context(), key, "bob")
	b.must(err)
	if found.ID != ids[0] || found.MyMembership == nil {
		t.Errorf("got %+v, want channel %s with bob's membership", found, ids[0])
	}
	b.peer(ids[0], "ada", "bob")
	b.peer(ids[0], "bob", "ada")
	_, err = b.s.DirectChannel(t.Context(), state.DirectKey("ada", "eve"), "ada")
	b.fails(err, chat.NotFound)
	b.refused(b.try(b.member(state.AddMember, ids[0], "ada", "eve", chat.RoleMember)), chat.Conflict)
	b.refused(b.try(b.member(state.RemoveMember, ids[0], "ada", "ada", "")), chat.Conflict)
}

// peer checks that a user's only channel, which is direct, names the other user, both in the
// list and by its id.
func (b *bench) peer(channel chat.ID, user, peer chat.UserID) {
	b.t.Helper()
	all, err := b.s.Channels(b.t.Context(), user, false)
	b.must(err)
	if len(all) != 1 {
		b.t.Fatalf("%s has %d channels, want 1", user, len(all))
	}
	one, err := b.s.Channel(b.t.Context(), channel, user)
	b.must(err)
	want := (&chat.User{ID: peer, Name: "Name of " + string(peer)}).Ref(false)
	got := []*chat.UserRef{all[0].DirectPeer, one.DirectPeer}
	b.equal("the direct peer of "+string(user), []*chat.UserRef{want, want}, got)
}
