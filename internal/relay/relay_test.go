package relay_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/internal/relay"
)

// TestEntriesCrossInOrderAndOnce: both nodes commit to one channel, and listeners on
// both hear the same.
func TestEntriesCrossInOrderAndOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, relay.Config{})
	id := a.channel("ada", "bob")
	ada, bob := a.connect("ada"), b.connect("bob")
	const each = 200
	var both sync.WaitGroup
	for _, n := range []*node{a, b} {
		both.Go(func() {
			for i := range each {
				n.say(id, "ada", fmt.Sprint(i))
			}
		})
	}
	both.Wait()
	ada.hears(id, 2, 2*each+1)
	bob.hears(id, 2, 2*each+1)
	if n := number(t, b.numbers.Relay.Lag); n == 0 {
		t.Error("the lag was never measured")
	}
}
