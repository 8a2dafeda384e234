package relay_test

import (
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestNodesWithoutARelayReadFromTheDatabase: a second server that is started on a database
// without a link to the first is late, and reports that, but misses nothing.
func TestNodesWithoutARelayReadFromTheDatabase(t *testing.T) {
	t.Parallel()
	unlinked, linked := quick, quick
	linked.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	for _, c := range []struct {
		name   string
		config relay.Config
		why    string
	}{
		{"neither has one", unlinked, "this one has no relay (relay.listen or relay.url) to hear it by"},
		{"one has one", linked, "is not heard"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			a, b := start(t, url, unlinked), start(t, url, c.config)
			a.users("eve")
			id := a.channel("ada", "bob")
			ada, bob, eve := a.connect("ada"), b.connect("bob"), b.connect("eve")
			checkCrossing(a, b, id, ada, bob, eve)
			login := model.Login{Hash: model.TokenHash{1}, UserID: "bob", CreatedAt: 1, ExpiresAt: 1 << 60}
			if err := a.db.OpenSession(t.Context(), login); err != nil {
				t.Fatal(err)
			}
			if err := a.db.CloseSession(t.Context(), login.Hash); err != nil {
				t.Fatal(err)
			}
			b.awaitAccess("log-in 1 of bob is closed")
			a.checkOnline([]chat.UserID{"ada", "bob"}, "ada")
			for _, n := range []*node{a, b} {
				until(t, "both nodes are degraded", func() bool { return n.relay.State().Degraded })
			}
			if why := b.relay.State().Why; !strings.Contains(why, "shares the database and "+c.why) {
				t.Errorf("the state is %q, want that a node %s", why, c.why)
			}
			b.stop()
			until(t, "a is not degraded", func() bool { return !a.relay.State().Degraded })
		})
	}
}

// TestTheRowOfAKilledServerIsNotAnotherNode: a server that was killed left its row in the
// database. When it starts again that row does not count, unless it has heartbeats.
func TestTheRowOfAKilledServerIsNotAnotherNode(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first := start(t, url, quick)
	if _, err := first.db.Heartbeat(t.Context(), "killed", "v9"); err != nil {
		t.Fatal(err)
	}
	first.stop()
	again := start(t, url, quick) // Start has read the rows
	equal(t, "state", again.relay.State(), relay.State{})
	if _, err := again.db.Heartbeat(t.Context(), "killed", "v9"); err != nil {
		t.Fatal(err)
	}
	until(t, "the row counts", func() bool {
		s := again.relay.State()
		return s.Nodes == 1 && s.Degraded
	})
}
