package relay_test

import (
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
	"github.com/chowk-chat/chowk/internal/relay"
)

// TestWithoutARelayTheDatabaseTells: a second server that somebody starts on a database
// without a word of the first is late, and knows it, but misses nothing.
func TestWithoutARelayTheDatabaseTells(t *testing.T) {
	t.Parallel()
	mute, linked := quick, quick
	linked.Link = relay.Link{Listen: "127.0.0.1:0", Secret: secret}
	for _, c := range []struct {
		name string
		of   relay.Config
		says string
	}{
		{"neither has one", mute, "this one has no relay (relay.listen or relay.url) to hear it by"},
		{"one has one", linked, "is not heard"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			a, b := start(t, url, mute), start(t, url, c.of)
			a.users("eve")
			id := a.channel("ada", "bob")
			ada, bob, eve := a.connect("ada"), b.connect("bob"), b.connect("eve")
			crosses(a, b, id, ada, bob, eve)
			session := model.Login{Hash: model.TokenHash{1}, UserID: "bob", CreatedAt: 1, ExpiresAt: 1 << 60}
			if err := a.db.OpenSession(t.Context(), session); err != nil {
				t.Fatal(err)
			}
			if err := a.db.CloseSession(t.Context(), session.Hash); err != nil {
				t.Fatal(err)
			}
			until(t, "the other node ends access", b.access.has("session 1 of bob is closed"))
			if got := a.hub.Online([]chat.UserID{"ada", "bob"}); len(got) != 1 || got[0] != "ada" {
				t.Errorf("online: %v", got)
			}
			for _, n := range []*node{a, b} {
				until(t, "it is said", func() bool { return n.relay.State().Degraded })
			}
			if why := b.relay.State().Why; !strings.Contains(why, "shares the database and "+c.says) {
				t.Errorf("said: %s", why)
			}
			b.stop()
			until(t, "the other is alone again", func() bool { return !a.relay.State().Degraded })
		})
	}
}

// TestWhoWasKilledIsNobodyElse: what a server left in the database when it was killed
// is not taken for another one when it starts again, until it lives.
func TestWhoWasKilledIsNobodyElse(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first := start(t, url, quick)
	if _, err := first.db.Heartbeat(t.Context(), "killed", "v9"); err != nil {
		t.Fatal(err)
	}
	first.stop()
	again := start(t, url, quick) // it has looked at the database when it has started
	if s := again.relay.State(); s.Degraded || s.Nodes != 0 {
		t.Errorf("it takes the dead for living: %+v", s)
	}
	if _, err := again.db.Heartbeat(t.Context(), "killed", "v9"); err != nil {
		t.Fatal(err)
	}
	until(t, "it has seen that it lives", func() bool { return again.relay.State().Nodes == 1 && again.relay.State().Degraded })
}
