package relay_test

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// TestAccessEndsOnEveryNode, by messages between the nodes.
func TestAccessEndsOnEveryNode(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	a.relay.Revoked([]model.TokenHash{{1}, {2}}, "ada", false)
	b.awaitAccess("log-in 2 of ada is closed")
	a.relay.Revoked(nil, "ada", false)
	b.awaitAccess("ada is disabled")
	a.relay.Revoked(nil, "ada", true)
	b.awaitAccess("ada is enabled")
	if got := a.access.all(); len(got) != 0 {
		t.Errorf("the node applied its own revocations: %v", got)
	}
}

// TestACacheForgetsWhatAnotherNodeChanged at once, and not when it expires.
func TestACacheForgetsWhatAnotherNodeChanged(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	a.users("ada")
	name := func(n *node) string {
		u, err := n.db.Users(t.Context(), []chat.UserID{"ada"})
		if err != nil || len(u) != 1 {
			t.Fatal(u, err)
		}
		return u[0].Name
	}
	before := b.received("user")
	for i := range 5 {
		want := fmt.Sprint("Ada ", i)
		name(b) // now b has cached it
		if _, err := a.db.EnsureUser(t.Context(), chat.User{ID: "ada", Name: want, IsActive: true}); err != nil {
			t.Fatal(err)
		}
		until(t, "b reads the new name", func() bool { return name(b) == want })
	}
	if b.received("user") == before {
		t.Error("b received no message about the user")
	}
}
