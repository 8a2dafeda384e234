package relay_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/relay"
)

// quick makes nodes notice sooner that they do not hear each other. In calm the
// database is never asked: what crosses then, the relay brought.
var quick = relay.Config{Heartbeat: 100 * time.Millisecond, Heal: 200 * time.Millisecond, HealCalm: time.Hour}

// TestSomebodyIsOnlineWhereverHeIs, and no more when his node has ended.
func TestSomebodyIsOnlineWhereverHeIs(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	eveID := a.users("eve.of.no-where:1", "ada", "bob")
	ada, bob := a.connect("ada"), b.connect("bob")
	if got := b.hub.Online([]chat.UserID{"ada", "bob", eveID}); len(got) != 2 {
		t.Errorf("online: %v", got)
	}
	if got := b.hub.Online(nil); len(got) != 2 {
		t.Errorf("online at all: %v", got)
	}
	is := func(user chat.UserID, online bool) func(wire) bool {
		return func(w wire) bool { return w.Type == chat.EventPresence && w.UserID == user && w.IsOnline == online }
	}
	bob.socket.Watch([]chat.UserID{eveID, "ada"})
	if got := b.hub.Online([]chat.UserID{"ada", eveID}); len(got) != 1 {
		t.Errorf("online: %v", got)
	}
	bob.seen("that ada is here", is("ada", true))
	ada.close()
	bob.seen("that ada went", is("ada", false))
	eve := a.connect(eveID)
	bob.seen("that eve came", is(eve.user, true))
	a.stop()
	bob.seen("that eve went with her node", is(eve.user, false))
	if got := b.hub.Online(nil); len(got) != 1 {
		t.Errorf("online at all, with the other node gone: %v", got)
	}
}

// TestAccessEndsOnEveryNode, by what nodes say.
func TestAccessEndsOnEveryNode(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	a.relay.Revoked([]model.TokenHash{{1}, {2}}, "ada", false)
	until(t, "sessions end", b.access.has("session 2 of ada is closed"))
	a.relay.Revoked(nil, "ada", false)
	until(t, "a user is disabled", b.access.has("ada is disabled"))
	a.relay.Revoked(nil, "ada", true)
	until(t, "a user is enabled", b.access.has("ada is enabled"))
	if len(a.access.all()) != 0 {
		t.Errorf("the node told itself: %v", a.access.all())
	}
}

// TestACacheForgetsWhatAnotherNodeChanged at once, not when it is old.
func TestACacheForgetsWhatAnotherNodeChanged(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	a.users("ada")
	name := func(n *node) string {
		u, err := n.db.Users(t.Context(), []chat.UserID{"ada"})
		if err != nil || len(u) != 1 {
			t.Fatal(u, err)
		}
		return u[0].Name
	}
	before := b.counted(b.numbers.Relay.Received, "user")
	for i := range 5 {
		want := fmt.Sprint("Ada ", i)
		name(b) // now it is remembered there
		if _, err := a.db.EnsureUser(t.Context(), chat.User{ID: "ada", Name: want, IsActive: true}); err != nil {
			t.Fatal(err)
		}
		until(t, "b knows", func() bool { return name(b) == want })
	}
	if b.counted(b.numbers.Relay.Received, "user") == before {
		t.Error("nothing was told")
	}
}

// TestANodeSubscribesToWhomSomebodyWatches, for as long as he does.
func TestANodeSubscribesToWhomSomebodyWatches(t *testing.T) {
	t.Parallel()
	_, b, _ := pair(t, quick)
	b.users("bob")
	least := b.subscriptions()
	one, two := b.connect("bob"), b.connect("bob")
	one.socket.Watch([]chat.UserID{"ada", "eve"})
	two.socket.Watch([]chat.UserID{"ada"})
	b.settled(least + 2)
	one.close()
	b.settled(least + 1)
	two.socket.Watch(nil)
	b.settled(least)
}

// TestWhatDoesNotFitIsFound: nobody waits for the relay, and nothing is lost.
func TestWhatDoesNotFitIsFound(t *testing.T) {
	t.Parallel()
	c := quick
	c.QueueBytes = 4 << 10
	a, b, _ := pair(t, c)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	const senders, each = 50, 20
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for i := range each {
				a.publish(id, "ada", fmt.Sprint(i))
			}
		})
	}
	all.Wait()
	bob.hears(id, 2, senders*each+1)
	if a.counted(a.numbers.Relay.Dropped, "queue") == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
}
