package relay_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// TestEntriesCrossInOrderAndOnce: both nodes commit to one channel, and listeners on both
// are sent the same.
func TestEntriesCrossInOrderAndOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	id := a.channel("ada", "bob")
	ada, bob := a.connect("ada"), b.connect("bob")
	const each = 200
	var committing sync.WaitGroup
	for _, n := range []*node{a, b} {
		committing.Go(func() {
			for i := range each {
				n.send(id, "ada", fmt.Sprint(i))
			}
		})
	}
	committing.Wait()
	ada.awaitEntries(id, 2, 2*each+1)
	bob.awaitEntries(id, 2, 2*each+1)
	if value(t, b.metrics.Relay.Lag) == 0 {
		t.Error("the lag was not measured")
	}
	if b.received("events") == 0 {
		t.Error("all entries came from the database")
	}
	if got := b.count(b.metrics.Relay.Ignored, "malformed"); got != 0 {
		t.Errorf("%v messages were malformed, want 0", got)
	}
}

// TestThreeNodesHearEachOther, although two of them have a route to the first only.
func TestThreeNodesHearEachOther(t *testing.T) {
	t.Parallel()
	a, b, c := startThree(t)
	id := a.channel("ada", "bob", "eve")
	conns := []*conn{a.connect("ada"), b.connect("bob"), c.connect("eve")}
	last := chat.Seq(1)
	for i := range 30 {
		last = []*node{a, b, c}[i%3].send(id, "ada", fmt.Sprint(i)).Seq
	}
	for _, conn := range conns {
		conn.awaitEntries(id, 2, last)
	}
	if c.received("events") == 0 {
		t.Error("all entries came from the database")
	}
}

// TestAMemberAddedElsewhereIsSentWhatFollows, although the channel had no listeners on
// their node before.
func TestAMemberAddedElsewhereIsSentWhatFollows(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	id := a.channel("ada")
	a.users("bob", "eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.send(id, "ada", "before")
	joined := a.changeMember(state.AddMember, id, "ada", "bob")
	last := a.send(id, "ada", "after")
	bob.awaitEntries(id, joined.Seq, last.Seq)
	bob.await("their membership", func(w wire) bool {
		return w.Type == chat.EventChannelJoined && w.ChannelID == id
	})
	bob.checkNotSent("before")

	other := a.channel("ada", "bob") // as an initial member
	last = a.send(other, "ada", "welcome")
	bob.awaitEntries(other, 1, last.Seq)
	if got := eve.frames(); len(got) > 0 {
		t.Errorf("a user who is not a member is sent %+v", got)
	}
}

// TestAMemberRemovedElsewhereIsSentNothingMore than that they were removed.
func TestAMemberRemovedElsewhereIsSentNothingMore(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	id := a.channel("ada", "bob", "eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.send(id, "ada", "before")
	removed := a.changeMember(state.RemoveMember, id, "ada", "bob")
	last := a.send(id, "ada", "secret")
	eve.awaitEntries(id, 2, last.Seq)
	bob.await("their removal", func(w wire) bool { return w.ChannelID == id && w.Seq == removed.Seq })

	again := a.changeMember(state.AddMember, id, "ada", "bob")
	last = a.send(id, "ada", "again")
	bob.awaitEntries(id, again.Seq, last.Seq)
	bob.checkNotSent("secret")
}

func TestTypingAndReceiptsCross(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	id := a.channel("ada", "bob")
	a.connect("ada")
	before := b.subscriptions()
	bob := b.connect("bob")
	b.awaitSubscriptions(before + 1)
	a.hub.Typing(id, "ada", true, 5)
	bob.await("that ada types", func(w wire) bool {
		return w == wire{Type: chat.EventTyping, ChannelID: id, UserID: "ada", IsTyping: true}
	})
	a.hub.PublishReadReceipt(chat.ReadReceiptFrame{
		Type: chat.EventReadReceipt, ChannelID: id, UserID: "ada", LastReadSeq: 1,
	})
	bob.await("that ada has read", func(w wire) bool {
		return w == wire{Type: chat.EventReadReceipt, ChannelID: id, UserID: "ada", LastRead: 1}
	})
}

// TestANodeReceivesOnlyWhatHasListenersThere: what a node receives does not grow with what
// others do.
func TestANodeReceivesOnlyWhatHasListenersThere(t *testing.T) {
	t.Parallel()
	a, b, _ := startPair(t, quick)
	a.connect("eve")
	for range 20 {
		id := a.channel("ada")
		a.send(id, "ada", "without listeners on the other node")
	}
	id := a.channel("ada", "bob")
	fixed := b.subscriptions()
	bob := b.connect("bob")
	last := a.send(id, "ada", "to bob")
	bob.awaitEntries(id, 2, last.Seq)
	b.awaitSubscriptions(fixed + 1)
	before := b.received("events")
	bob.close()
	b.awaitSubscriptions(fixed)
	a.send(id, "ada", "without listeners")
	a.changeMember(state.AddMember, id, "ada", b.users("eve")) // sent to all nodes
	until(t, "the new member is reported", func() bool { return b.received("joins") > 21 })
	if got := b.received("events") - before; got != 0 {
		t.Errorf("%v messages of entries without listeners arrived, want 0", got)
	}
}

// TestWhatDoesNotFitIsReadFromTheDatabase: nothing waits for the relay, and nothing is
// lost.
func TestWhatDoesNotFitIsReadFromTheDatabase(t *testing.T) {
	t.Parallel()
	c := quick
	c.QueueBytes = 4 << 10
	a, b, _ := startPair(t, c)
	id := a.channel("ada", "bob")
	bob := b.connect("bob")
	const senders, each = 50, 20
	var sending sync.WaitGroup
	for range senders {
		sending.Go(func() {
			for i := range each {
				a.send(id, "ada", fmt.Sprint(i))
			}
		})
	}
	sending.Wait()
	bob.awaitEntries(id, 2, senders*each+1)
	if a.dropped("queue") == 0 {
		t.Error("nothing was dropped, so the test proves nothing")
	}
}
