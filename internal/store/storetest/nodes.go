package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

func testNodes(t *testing.T, b *bench) {
	beat := func(id string, want map[string]int64) {
		t.Helper()
		beats, err := b.s.Heartbeat(t.Context(), id, "v1")
		b.must(err)
		b.equal("the heartbeats", want, beats)
	}
	beat("one", map[string]int64{"one": 1})
	beat("two", map[string]int64{"one": 1, "two": 1})
	beat("one", map[string]int64{"one": 2, "two": 1})
	b.must(b.s.ForgetNode(t.Context(), "one", 1)) // it is alive
	b.must(b.s.ForgetNode(t.Context(), "two", 1))
	beat("one", map[string]int64{"one": 3})
	b.must(b.s.Deregister(t.Context(), "one"))
	beat("three", map[string]int64{"three": 1})
}

func testHeadsBeyond(t *testing.T, b *bench) {
	quiet, busy := b.channel("ada", "bob"), b.channel("ada", "bob")
	b.sendMany(busy, 2)
	got, err := b.s.HeadsBeyond(t.Context(), map[chat.ID]chat.Seq{quiet: 1, busy: 1, chat.NewID(): 5})
	b.must(err)
	b.equal("the heads", map[chat.ID]chat.Seq{busy: 3}, got)
	got, err = b.s.HeadsBeyond(t.Context(), nil)
	b.must(err)
	b.equal("the heads of no channels", map[chat.ID]chat.Seq{}, got)
}

func testJoins(t *testing.T, b *bench) {
	b.users("eve")
	before := b.now()
	id := b.channel("ada", "bob")
	b.send(id, "ada", "x")
	b.commit(b.member(state.AddMember, id, "ada", "eve", chat.RoleMember))
	joins, err := b.s.RecentJoins(t.Context(), before)
	b.must(err)
	users := make(map[chat.UserID]chat.Seq)
	for i := range joins {
		for _, u := range joins[i].JoinedUsers() {
			users[u] = joins[i].Seq
		}
	}
	b.equal("who joined", map[chat.UserID]chat.Seq{"ada": 1, "bob": 1, "eve": 3}, users)
	if later, err := b.s.RecentJoins(t.Context(), b.now()); err != nil || len(later) != 0 {
		t.Errorf("later joins: %+v, %v, want none", later, err)
	}
	wantJoined := func(when string, want map[chat.UserID]chat.Seq, head chat.Seq) {
		t.Helper()
		joined, got, err := b.s.JoinSeqs(t.Context(), id, []chat.UserID{"ada", "eve", "unknown"})
		b.must(err)
		b.equal(when, want, joined)
		if got != head {
			t.Errorf("%s: the head is %d, want %d", when, got, head)
		}
	}
	wantJoined("after joining", map[chat.UserID]chat.Seq{"ada": 0, "eve": 3}, 3)
	b.commit(b.member(state.RemoveMember, id, "ada", "eve", ""))
	wantJoined("after leaving", map[chat.UserID]chat.Seq{"ada": 0}, 4)
}

func testReopen(t *testing.T, b *bench) {
	id := b.channel("ada")
	b.send(id, "ada", "kept")
	epoch := b.s.Epoch()
	if b.s.Durability() != "disk" {
		t.Errorf("the durability is %q, want disk", b.s.Durability())
	}
	b.must(b.s.Ping(t.Context()))
	b.must(b.s.Close())
	if _, err := b.s.Channels(t.Context(), "ada", true); err == nil {
		t.Error("a closed store answers")
	}
	b.s = b.again()
	if n := len(b.log(id)); n != 2 {
		t.Errorf("the log has %d entries, want 2", n)
	}
	if b.s.Epoch() != epoch {
		t.Errorf("the epoch is %s, want %s", b.s.Epoch(), epoch)
	}
}
