package relay_test

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/testkit"
)

// checkCrossing checks that ada on a and bob on b are sent what is committed on the other
// node, and that eve on b becomes a member by a commit on a.
func checkCrossing(a, b *node, id chat.ID, ada, bob, eve *conn) {
	a.t.Helper()
	last := chat.Seq(0)
	for i := range 10 {
		a.send(id, "ada", fmt.Sprint(i))
		last = b.send(id, "bob", fmt.Sprint(i)).Seq
	}
	bob.awaitEntries(id, 2, last)
	ada.awaitEntries(id, 2, last)
	added := a.changeMember(state.AddMember, id, "ada", "eve")
	a.send(id, "ada", "for eve")
	eve.awaitEntries(id, added.Seq, added.Seq+1)
}

// TestNothingIsLostWhileTheRelayIsCut, in one direction or both, and no node has to be
// restarted afterwards.
func TestNothingIsLostWhileTheRelayIsCut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cut  func(p *testkit.Proxy)
	}{
		{"severed", func(p *testkit.Proxy) { p.Sever() }},
		{"silent in one direction", func(p *testkit.Proxy) { p.Silence(testkit.ToServer) }},
		{"silent in the other direction", func(p *testkit.Proxy) { p.Silence(testkit.ToClient) }},
		{"silent in both directions", func(p *testkit.Proxy) { p.Silence(testkit.ToServer); p.Silence(testkit.ToClient) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			checkCut(t, c.cut)
		})
	}
}

func checkCut(t *testing.T, cut func(p *testkit.Proxy)) {
	a, b, p := startPair(t, quick)
	a.users("eve")
	id := a.channel("ada", "bob")
	ada, bob, eve := a.connect("ada"), b.connect("bob"), b.connect("eve")
	a.send(id, "ada", "before")
	bob.awaitEntries(id, 2, 2)
	cut(p)
	checkCrossing(a, b, id, ada, bob, eve)
	removed := a.changeMember(state.RemoveMember, id, "ada", "eve")
	a.send(id, "ada", "not for eve")
	eve.await("that she was removed", func(w wire) bool {
		return w.Type == chat.EventChannelLeft && w.Seq == removed.Seq
	})
	until(t, "both nodes are degraded", func() bool { return a.relay.State().Degraded && b.relay.State().Degraded })
	p.Restore()
	awaitConnected(t, a, b)
	a.send(id, "ada", "afterwards")
	b.send(id, "bob", "afterwards")
	bob.awaitEntries(id, 2, removed.Seq+3)
	ada.awaitEntries(id, 2, removed.Seq+3)
	for _, w := range eve.frames() {
		if w.Seq > removed.Seq {
			t.Errorf("eve is sent entry %d after she was removed by entry %d", w.Seq, removed.Seq)
		}
	}
}

// TestANodeThatIsTooSlowReadsFromTheDatabase, and counts what it lost.
func TestANodeThatIsTooSlowReadsFromTheDatabase(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	a.send(id, "ada", "before")
	bob.awaitEntries(id, 2, 2)
	b.access.mu.Lock()
	a.relay.Revoked([]model.TokenHash{{1}}, "ada", false)
	until(t, "more arrives than b processes", func() bool {
		for range 1000 {
			a.relay.Typing(id, "ada", true, 1)
		}
		return b.dropped("slow") > 0
	})
	a.send(id, "ada", "does not fit")
	b.access.mu.Unlock()
	bob.awaitEntries(id, 2, 3)
	awaitConnected(t, a, b)
	a.send(id, "ada", "afterwards")
	bob.awaitEntries(id, 2, 4)
}

// TestAccessEndsWhileTheRelayIsCut, by what the database has.
func TestAccessEndsWhileTheRelayIsCut(t *testing.T) {
	t.Parallel()
	a, b, p := startPair(t, quick)
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
	b.awaitAccess("log-in 1 of ada is closed")
	if _, err := a.db.SetActive(t.Context(), "bob", false); err != nil {
		t.Fatal(err)
	}
	b.awaitAccess("bob is disabled")
	b.awaitAccess("log-in 2 of bob is closed")
	if _, err := a.db.SetActive(t.Context(), "bob", true); err != nil {
		t.Fatal(err)
	}
	b.awaitAccess("bob is enabled")
	if b.count(b.metrics.Relay.Reconciled, "revocations") == 0 {
		t.Error("the revocations are not counted")
	}
}

// TestUsersOfANodeThatVanishesGoOffline, after a while.
func TestUsersOfANodeThatVanishesGoOffline(t *testing.T) {
	t.Parallel()
	a, b, p := startPair(t, quick)
	a.users("ada", "bob")
	a.connect("ada")
	bob := b.connect("bob")
	bob.socket.Watch([]chat.UserID{"ada"})
	b.checkOnline([]chat.UserID{"ada"}, "ada")
	bob.awaitPresence("ada", true)
	p.Sever()
	bob.awaitPresence("ada", false)
	before := len(bob.frames())
	p.Restore()
	bob.await("that ada is online again", func(w wire) bool {
		return isPresence("ada", true)(w) && len(bob.frames()) > before
	})
}
