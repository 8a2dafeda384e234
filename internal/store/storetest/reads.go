package storetest

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

func (b *bench) read(r state.Read) state.ReadResult {
	b.t.Helper()
	r.At = b.now()
	outs, err := b.s.CommitReads(b.t.Context(), []state.Read{r})
	b.must(err)
	return outs[0]
}

func testReads(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	sent := b.sendMany(id, 5)
	foreign := b.send(other, "ada", "x")
	for _, c := range []struct {
		what string
		read state.Read
		want state.ReadResult
	}{
		{
			"to a message",
			state.Read{UserID: "bob", MessageID: sent[2].ID},
			state.ReadResult{LastReadSeq: sent[2].Seq, MessageID: sent[2].ID, UnreadCount: 2, Moved: true},
		},
		{
			"backwards",
			state.Read{UserID: "bob", Seq: 2},
			state.ReadResult{LastReadSeq: sent[2].Seq, MessageID: sent[2].ID, UnreadCount: 2},
		},
		{
			"beyond the head",
			state.Read{UserID: "bob", Seq: 1000},
			state.ReadResult{LastReadSeq: sent[4].Seq, MessageID: sent[4].ID, Moved: true},
		},
		{
			"to the head",
			state.Read{UserID: "ada"},
			state.ReadResult{LastReadSeq: sent[4].Seq, MessageID: sent[4].ID, Moved: true},
		},
	} {
		c.read.ChannelID = id
		b.equal(c.what, c.want, b.read(c.read))
	}
	for _, c := range []struct {
		read state.Read
		code chat.Code
	}{
		{state.Read{ChannelID: id, UserID: "bob", MessageID: foreign.ID}, chat.NotFound}, // D-32
		{state.Read{ChannelID: id, UserID: "bob", MessageID: chat.NewID()}, chat.NotFound},
		{state.Read{ChannelID: id, UserID: "eve"}, chat.Forbidden},
		{state.Read{ChannelID: chat.NewID(), UserID: "bob"}, chat.Forbidden},
	} {
		b.fails(b.read(c.read).Err, c.code)
	}
	outs, err := b.s.CommitReads(t.Context(), []state.Read{
		{ChannelID: other, UserID: "ada"}, {ChannelID: id, UserID: "eve"}, {ChannelID: id, UserID: "ada"},
	})
	b.must(err)
	b.must(outs[0].Err)
	b.fails(outs[1].Err, chat.Forbidden) // alone
	b.must(outs[2].Err)
}

// testOwnReads: the cursor of a user who sends moves forward, and never back.
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
		b.must(outs[0].Err)
		outs[1].Moved = false // only the first time
		b.equal("bob's read", state.ReadResult{LastReadSeq: first.Seq, MessageID: first.ID, UnreadCount: 1}, outs[1])
	}
	wantRead := func(when string) {
		t.Helper()
		all, err := b.s.ChannelStates(t.Context(), "ada")
		b.must(err)
		if n := all[0].UnreadCount; n != 0 {
			t.Errorf("%s: the author has %d unread, want 0", when, n)
		}
	}
	read("ada", second)
	wantRead("after the second message")
	read("ada", first)
	wantRead("after the first message, which is older")
	read("eve", second) // not a member: there is no cursor to move
}

func testUnread(t *testing.T, b *bench) {
	b.users("eve")
	id := b.channel("ada", "bob")
	sent := b.sendMany(id, 3)
	b.commit(b.edit(id, "ada", sent[0].ID, "1!")) // an entry that is not a message
	wantUnread := func(when string, user chat.UserID, want int64) {
		t.Helper()
		all, err := b.s.Channels(t.Context(), user, false)
		b.must(err)
		states, err := b.s.ChannelStates(t.Context(), user)
		b.must(err)
		if n := all[0].UnreadCount; n != want {
			t.Errorf("%s: %s has %d unread, want %d", when, user, n, want)
		}
		if st := states[0]; st.ID != id || st.UnreadCount != all[0].UnreadCount || st.LastSeq != all[0].LastSeq {
			t.Errorf("%s: the state is %+v, and the channel in the list %+v", when, st, all[0])
		}
	}
	wantUnread("after three messages", "bob", 3)
	b.commit(b.member(state.AddMember, id, "ada", "eve", chat.RoleMember))
	wantUnread("after joining", "eve", 0)
	b.commit(b.about(state.DeleteMessage, id, "ada", sent[2].ID))
	wantUnread("after a deletion", "bob", 2)
	if out := b.read(state.Read{ChannelID: id, UserID: "bob", MessageID: sent[0].ID}); out.UnreadCount != 1 {
		t.Errorf("after reading one message: %d unread, want 1", out.UnreadCount)
	}
}

// testBatches: calls that share statements get their own results.
func testBatches(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	var calls sync.WaitGroup
	var wrong atomic.Int64
	for i := range 1000 {
		user := []chat.UserID{"ada", "bob", "eve"}[i%3]
		calls.Go(func() { // ends when both calls have returned
			states, err := b.s.ChannelStates(t.Context(), user)
			if err != nil || len(states) != map[chat.UserID]int{"ada": 1, "bob": 1}[user] {
				wrong.Add(1)
			}
			heads, err := b.s.Heads(t.Context(), []chat.ID{id, chat.NewID()})
			if err != nil || len(heads) != 1 || heads[id] != 1 {
				wrong.Add(1)
			}
		})
	}
	calls.Wait()
	if n := wrong.Load(); n != 0 {
		t.Errorf("%d calls of 2000 returned something wrong", n)
	}
}
