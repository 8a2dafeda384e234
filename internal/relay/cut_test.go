package relay_test

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// crosses looks whether people hear what is committed on the node on which they are
// not, and whom it makes a member.
func crosses(a, b *node, id chat.ID, ada, bob, eve *conn) {
	a.t.Helper()
	last := chat.Seq(0)
	for i := range 10 {
		a.publish(id, "ada", fmt.Sprint(i))
		last = b.publish(id, "bob", fmt.Sprint(i)).Seq
	}
	bob.hears(id, 2, last)
	ada.hears(id, 2, last)
	added := a.member(state.AddMember, id, "ada", "eve")
	a.publish(id, "ada", "for eve")
	eve.hears(id, added.Seq, added.Seq+1)
}

// TestNothingIsLostWhileTheRelayIsCut, either way or both, and nobody has to restart
// anything when it is whole again.
func TestNothingIsLostWhileTheRelayIsCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  func(p *testkit.Proxy)
	}{
		{"severed", func(p *testkit.Proxy) { p.Sever() }},
		{"silent one way", func(p *testkit.Proxy) { p.Silence(testkit.ToServer) }},
		{"silent the other way", func(p *testkit.Proxy) { p.Silence(testkit.ToClient) }},
		{"silent both ways", func(p *testkit.Proxy) { p.Silence(testkit.ToServer); p.Silence(testkit.ToClient) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b, p := pair(t, quick)
			a.users("eve")
			id := a.channel("ada", "bob")
			ada, bob, eve := a.connect("ada"), b.connect("bob"), b.connect("eve")
			a.publish(id, "ada", "heard")
			bob.hears(id, 2, 2)
			c.cut(p)
			crosses(a, b, id, ada, bob, eve)
			removed := a.member(state.RemoveMember, id, "ada", "eve")
			a.publish(id, "ada", "not for eve")
			eve.seen("that she is removed", func(w wire) bool { return w.Type == chat.EventChannelLeft && w.Seq == removed.Seq })
			until(t, "it is noticed", func() bool { return a.relay.State().Degraded && b.relay.State().Degraded })
			p.Restore()
			together(t, a, b)
			a.publish(id, "ada", "heard again")
			b.publish(id, "bob", "heard again")
			bob.hears(id, 2, removed.Seq+3)
			ada.hears(id, 2, removed.Seq+3)
			for _, w := range eve.frames() {
				if w.Seq > removed.Seq {
					t.Errorf("eve was told of entry %d after she was removed by %d", w.Seq, removed.Seq)
				}
			}
		})
	}
}

// TestWhoCannotTakeAllHasItFromTheDatabase, and says that it lost something.
func TestWhoCannotTakeAllHasItFromTheDatabase(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.publish(id, "ada", "heard")
	bob.hears(id, 2, 2)
	b.access.mu.Lock()
	a.relay.Revoked([]model.TokenHash{{1}}, "ada", false)
	slow := func() float64 { return b.counted(b.numbers.Relay.Dropped, "slow") }
	until(t, "more comes than b takes", func() bool {
		for range 1000 {
			a.relay.Typing(id, "ada", true, 1)
		}
		return slow() > 0
	})
	a.publish(id, "ada", "there was no room for it")
	b.access.mu.Unlock()
	bob.hears(id, 2, 3)
	together(t, a, b)
	a.publish(id, "ada", "heard again")
	bob.hears(id, 2, 4)
}

// TestAccessEndsWhileTheRelayIsCut: the database says so.
func TestAccessEndsWhileTheRelayIsCut(t *testing.T) {
	t.Parallel()
	a, b, p := pair(t, quick)
	a.users("ada", "bob")
	for n, user := range []chat.UserID{"ada", "bob"} {
		s := model.Login{Hash: model.TokenHash{byte(n + 1)}, UserID: user, CreatedAt: 1, ExpiresAt: 1 << 60}
		if err := a.db.OpenSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	p.Sever()
	if err := a.db.CloseSession(t.Context(), model.TokenHash{1}); err != nil {
		t.Fatal(err)
	}
	until(t, "the session ends", b.access.has("session 1 of ada is closed"))
	if _, err := a.db.SetActive(t.Context(), "bob", false); err != nil {
		t.Fatal(err)
	}
	until(t, "the user is disabled", b.access.has("bob is disabled"))
	until(t, "and his session ends", b.access.has("session 2 of bob is closed"))
	if _, err := a.db.SetActive(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	until(t, "the user is enabled", b.access.has("bob is enabled"))
	if b.counted(b.numbers.Relay.Reconciled, "revocations") == 0 {
		t.Error("it is not counted")
	}
}

// TestANodeThatVanishesTakesItsUsersAlong, after a while.
func TestANodeThatVanishesTakesItsUsersAlong(t *testing.T) {
	t.Parallel()
	a, b, p := pair(t, quick)
	a.users("ada", "bob")
	a.connect("ada")
	bob := b.connect("bob")
	bob.socket.Watch([]chat.UserID{"ada"})
	if got := b.hub.Online([]chat.UserID{"ada"}); len(got) != 1 {
		t.Fatalf("online: %v", got)
	}
	is := func(online bool) func(wire) bool {
		return func(w wire) bool { return w.Type == chat.EventPresence && w.UserID == "ada" && w.IsOnline == online }
	}
	bob.seen("that ada is here", is(true))
	p.Sever()
	bob.seen("that ada is gone", is(false))
	before := len(bob.frames())
	p.Restore()
	bob.seen("that ada is here again", func(w wire) bool { return is(true)(w) && len(bob.frames()) > before })
}
