package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/relay"
)

// TestAUserIsOnlineOnEveryNode, until their own node has ended.
func TestAUserIsOnlineOnEveryNode(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	eveID := a.users("eve.of.no-where:1", "ada", "bob")
	ada, bob := a.connect("ada"), b.connect("bob")
	b.checkOnline([]chat.UserID{"ada", "bob", eveID}, "ada", "bob")
	b.checkOnline(nil, "ada", "bob")
	bob.socket.Watch([]chat.UserID{eveID, "ada"})
	b.checkOnline([]chat.UserID{"ada", eveID}, "ada")
	bob.awaitPresence("ada", true)
	ada.close()
	bob.awaitPresence("ada", false)
	a.connect(eveID)
	bob.awaitPresence(eveID, true)
	a.stop()
	bob.awaitPresence(eveID, false)
	b.checkOnline(nil, "bob")
}

// TestManyUsersAreAskedForAtOnce: more than fit into one query.
func TestManyUsersAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, relay.Config{Heartbeat: 100 * time.Millisecond})
	a.users("first", "last")
	b.connect("first")
	b.connect("last")
	ids := []chat.UserID{"first"}
	for i := range 1200 {
		ids = append(ids, chat.UserID(fmt.Sprintf("offline-%d", i)))
	}
	ids = append(ids, "last")
	until(t, "both users are online", func() bool { return len(a.hub.Online(ids)) == 2 })
}

// TestANodeSubscribesToUsersWhoAreWatched, while they are.
func TestANodeSubscribesToUsersWhoAreWatched(t *testing.T) {
	t.Parallel()
	_, b, _ := startPair(t, quick)
	b.users("bob")
	fixed := b.subscriptions()
	one, two := b.connect("bob"), b.connect("bob")
	one.socket.Watch([]chat.UserID{"ada", "eve"})
	two.socket.Watch([]chat.UserID{"ada"})
	b.awaitSubscriptions(fixed + 2)
	one.close()
	b.awaitSubscriptions(fixed + 1)
	two.socket.Watch(nil)
	b.awaitSubscriptions(fixed)
}
