package relay_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/relay"
)

// TestManyAreAskedForAtOnce: more than fit into one question are asked for, and all
// who are online elsewhere are named.
func TestManyAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, relay.Config{Heartbeat: 100 * time.Millisecond})
	a.users("first", "last")
	b.connect("first")
	b.connect("last")
	ids := []chat.UserID{"first"}
	for i := range 1200 {
		ids = append(ids, chat.UserID(fmt.Sprintf("nobody-%d", i)))
	}
	ids = append(ids, "last")
	until(t, "both are named", func() bool { return len(a.hub.Online(ids)) == 2 })
}
