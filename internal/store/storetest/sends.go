package storetest

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// testRefusedAmongOthers: whoever is refused leaves no hole in the seqs and
// ordinals of those who are not, however often they sent before.
func testRefusedAmongOthers(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada", "bob")
	b.users("eve")
	for round := range 4 { // what is remembered of the first must not matter
		group := []state.Change{
			b.message(id, "ada", "1"), b.message(id, "eve", "no member"), b.message(id, "bob", "2"), b.message(other, "eve", "no member"),
			b.message(id, "ada", "3"), b.message(chat.NewID(), "ada", "no channel"), b.message(other, "bob", "1"),
		}
		outs, err := b.s.Commit(t.Context(), group)
		b.must(err)
		for i, c := range group {
			switch {
			case c.Message.Content == "no member", c.Message.Content == "no channel":
				b.refused(outs[i], chat.Forbidden)
			case outs[i].Err != nil:
				t.Errorf("%s: %v", c.Message.Content, outs[i].Err)
			case c.ChannelID == id && fmt.Sprint(outs[i].Message.Ordinal-int64(3*round)) != c.Message.Content:
				t.Errorf("message %s of round %d has ordinal %d", c.Message.Content, round, outs[i].Message.Ordinal)
			}
		}
	}
	if n := len(b.log(id)) + len(b.log(other)); n != 2+4*4 {
		t.Errorf("the logs have %d entries", n)
	}
	b.refusedSince(other, "bob", func() { b.onMember(state.RemoveMember, other, "ada", "bob", "") })
}

// refusedSince checks that a sender who was let in a moment ago is refused from the
// moment of a change.
func (b *bench) refusedSince(channel chat.ID, user chat.UserID, change func()) {
	b.t.Helper()
	send := func() state.Outcome { return b.commit(b.message(channel, user, "x")) }
	for range 2 {
		if out := send(); out.Err != nil {
			b.t.Errorf("before: %v", out.Err)
		}
	}
	change()
	b.refused(send(), chat.Forbidden)
}

// testOwnReads: the cursor of one who sends moves forward, and never back.
func testOwnReads(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	first, second := b.send(id, "ada", "1"), b.send(id, "ada", "2")
	read := func(user chat.UserID, m *chat.Message) {
		t.Helper()
		outs, err := b.s.CommitReads(t.Context(), []state.Read{
			{ChannelID: id, UserID: user, Seq: m.Seq, Ordinal: m.Ordinal, At: b.now()},
			{ChannelID: id, UserID: "bob", Seq: first.Seq, At: b.now()},
		})
		b.must(err)
		if outs[0].Err != nil || outs[1].Err != nil || outs[1].LastReadSeq != first.Seq || outs[1].UnreadCount != 1 || outs[1].MessageID != first.ID {
			t.Errorf("got %+v", outs)
		}
	}
	unread := func() int64 {
		all, err := b.s.ChannelStates(t.Context(), "ada")
		b.must(err)
		return all[0].UnreadCount
	}
	read("ada", second)
	if n := unread(); n != 0 {
		t.Errorf("%d unread by their author", n)
	}
	read("ada", first)
	if n := unread(); n != 0 {
		t.Errorf("the cursor moved back: %d unread", n)
	}
	read("eve", second) // no member: nothing to move
}
