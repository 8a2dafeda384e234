package relay_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// TestEntriesCrossInOrderAndOnce: both nodes commit to one channel, and listeners on
// both hear the same.
func TestEntriesCrossInOrderAndOnce(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	id := a.channel("ada", "bob")
	ada, bob := a.connect("ada"), b.connect("bob")
	const each = 200
	var both sync.WaitGroup
	for _, n := range []*node{a, b} {
		both.Go(func() {
			for i := range each {
				n.publish(id, "ada", fmt.Sprint(i))
			}
		})
	}
	both.Wait()
	ada.hears(id, 2, 2*each+1)
	bob.hears(id, 2, 2*each+1)
	if n := number(t, b.numbers.Relay.Lag); n == 0 {
		t.Error("the lag was never measured")
	}
	if n := b.counted(b.numbers.Relay.Received, "events"); n == 0 {
		t.Error("all came from the database")
	}
	if n := b.counted(b.numbers.Relay.Ignored, "malformed"); n != 0 {
		t.Errorf("%v messages were not understood", n)
	}
}

// TestThreeNodesHearEachOther, though the second and the third know only the first.
func TestThreeNodesHearEachOther(t *testing.T) {
	t.Parallel()
	a, b, c := three(t)
	id := a.channel("ada", "bob", "eve")
	conns := []*conn{a.connect("ada"), b.connect("bob"), c.connect("eve")}
	last := chat.Seq(1)
	for i := range 30 {
		last = []*node{a, b, c}[i%3].publish(id, "ada", fmt.Sprint(i)).Seq
	}
	for _, conn := range conns {
		conn.hears(id, 2, last)
	}
	if n := c.counted(c.numbers.Relay.Received, "events"); n == 0 {
		t.Error("all came from the database")
	}
}

// TestWhoBecomesAMemberElsewhereHears what comes after, though nobody on his node
// listened to the channel before.
func TestWhoBecomesAMemberElsewhereHears(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	id := a.channel("ada")
	a.users("bob", "eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.publish(id, "ada", "before")
	joined := a.member(state.AddMember, id, "ada", "bob")
	last := a.publish(id, "ada", "after")
	bob.hears(id, joined.Seq, last.Seq)
	bob.seen("that he is a member", func(w wire) bool { return w.Type == chat.EventChannelJoined && w.ChannelID == id })
	for _, w := range bob.frames() {
		if w.Data.Content == "before" {
			t.Error("he got what was before")
		}
	}

	// A channel with its founders.
	other := a.channel("ada", "bob")
	last = a.publish(other, "ada", "welcome")
	bob.hears(other, 1, last.Seq)
	if len(eve.frames()) > 0 {
		t.Errorf("who is no member got %+v", eve.frames())
	}
}

// TestWhoIsRemovedElsewhereHearsNoMore than that he was.
func TestWhoIsRemovedElsewhereHearsNoMore(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	id := a.channel("ada", "bob", "eve")
	bob, eve := b.connect("bob"), b.connect("eve")
	a.publish(id, "ada", "before")
	removed := a.member(state.RemoveMember, id, "ada", "bob")
	last := a.publish(id, "ada", "secret")
	eve.hears(id, 2, last.Seq)
	bob.seen("that he is no member", func(w wire) bool { return w.ChannelID == id && w.Seq == removed.Seq })

	again := a.member(state.AddMember, id, "ada", "bob")
	last = a.publish(id, "ada", "again")
	bob.hears(id, again.Seq, last.Seq)
	for _, w := range bob.frames() {
		if w.Data.Content == "secret" {
			t.Error("he got what was between")
		}
	}
}

// TestTypingAndReadsCross, and of nobody else than listeners.
func TestTypingAndReadsCross(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	id := a.channel("ada", "bob")
	a.connect("ada")
	before := b.subscriptions()
	bob := b.connect("bob")
	b.settled(before + 1)
	a.hub.Typing(id, "ada", true, 5)
	bob.seen("that ada types", func(w wire) bool {
		return w.Type == chat.EventTyping && w.ChannelID == id && w.UserID == "ada" && w.IsTyping
	})
	a.hub.PublishReadReceipt(chat.ReadReceiptFrame{Type: chat.EventReadReceipt, ChannelID: id, UserID: "ada", LastReadSeq: 1})
	bob.seen("that ada has read", func(w wire) bool {
		return w.Type == chat.EventReadReceipt && w.ChannelID == id && w.UserID == "ada" && w.LastRead == 1
	})
}

// TestANodeHearsOnlyWhatSomebodyListensTo: what a node takes in does not grow with
// what others do.
func TestANodeHearsOnlyWhatSomebodyListensTo(t *testing.T) {
	t.Parallel()
	a, b, _ := pair(t, quick)
	a.connect("eve")
	for range 20 {
		id := a.channel("ada")
		a.publish(id, "ada", "to nobody on the other node")
	}
	id := a.channel("ada", "bob")
	least := b.subscriptions()
	bob := b.connect("bob")
	last := a.publish(id, "ada", "to bob")
	bob.hears(id, 2, last.Seq)
	b.settled(least + 1)
	before := b.counted(b.numbers.Relay.Received, "events")
	bob.close()
	b.settled(least)
	a.publish(id, "ada", "to nobody")
	a.member(state.AddMember, id, "ada", b.users("eve")) // told to all nodes
	until(t, "it is told", func() bool { return b.counted(b.numbers.Relay.Received, "joins") > 21 })
	if n := b.counted(b.numbers.Relay.Received, "events") - before; n != 0 {
		t.Errorf("%v messages of entries came to nobody", n)
	}
}
