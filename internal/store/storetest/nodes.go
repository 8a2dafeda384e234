package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

func testNodes(t *testing.T, b *bench) {
	beat := func(id string) map[string]int64 {
		t.Helper()
		beats, err := b.s.Heartbeat(t.Context(), id, "v1")
		b.must(err)
		return beats
	}
	beat("one")
	if got := beat("two"); got["one"] != 1 || got["two"] != 1 {
		t.Errorf("got %v", got)
	}
	if got := beat("one"); got["one"] != 2 || got["two"] != 1 {
		t.Errorf("got %v", got)
	}
	b.must(b.s.ForgetNode(t.Context(), "one", 1)) // it lives
	b.must(b.s.ForgetNode(t.Context(), "two", 1))
	if got := beat("one"); len(got) != 1 || got["one"] != 3 {
		t.Errorf("got %v", got)
	}
	b.must(b.s.Deregister(t.Context(), "one"))
	if got := beat("three"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func testAhead(t *testing.T, b *bench) {
	quiet, busy := b.channel("ada", "bob"), b.channel("ada", "bob")
	known := map[chat.ID]chat.Seq{quiet: 1, busy: 1, chat.NewID(): 5}
	b.send(busy, "ada", "x")
	b.send(busy, "ada", "y")
	got, err := b.s.HeadsBeyond(t.Context(), known)
	b.must(err)
	if len(got) != 1 || got[busy] != 3 {
		t.Errorf("got %v", got)
	}
	if got, err := b.s.HeadsBeyond(t.Context(), nil); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
}

func testJoins(t *testing.T, b *bench) {
	b.users("eve")
	before := b.now()
	id := b.channel("ada", "bob")
	b.send(id, "ada", "x")
	add := b.onMember(state.AddMember, id, "ada", "eve", chat.RoleMember)
	b.must(add.Err)
	joins, err := b.s.RecentJoins(t.Context(), before)
	b.must(err)
	users := make(map[chat.UserID]chat.Seq)
	for i := range joins {
		for _, u := range joins[i].JoinedUsers() {
			users[u] = joins[i].Seq
		}
	}
	if len(joins) != 2 || users["ada"] != 1 || users["bob"] != 1 || users["eve"] != add.Entry.Seq {
		t.Errorf("got %+v", joins)
	}
	if later, err := b.s.RecentJoins(t.Context(), b.now()); err != nil || len(later) != 0 {
		t.Errorf("got %+v, %v", later, err)
	}
	joined, head, err := b.s.JoinSeqs(t.Context(), id, []chat.UserID{"ada", "eve", "nobody"})
	b.must(err)
	if len(joined) != 2 || joined["ada"] != 0 || joined["eve"] != add.Entry.Seq || head != 3 {
		t.Errorf("got %v, head %d", joined, head)
	}
	b.must(b.onMember(state.RemoveMember, id, "ada", "eve", "").Err)
	if joined, _, err = b.s.JoinSeqs(t.Context(), id, []chat.UserID{"eve"}); err != nil || len(joined) != 0 {
		t.Errorf("after she was removed: %v, %v", joined, err)
	}
}

func testRevocations(t *testing.T, b *bench) {
	b.users("ada", "bob")
	first, err := b.s.LastRevocation(t.Context())
	b.must(err)
	open := func(n byte, user chat.UserID) model.TokenHash {
		h := model.TokenHash{n}
		b.must(b.s.OpenSession(t.Context(), model.Login{Hash: h, UserID: user, CreatedAt: b.now(), ExpiresAt: 1 << 60}))
		return h
	}
	one, two, three := open(1, "ada"), open(2, "ada"), open(3, "bob")
	b.must(b.s.CloseSession(t.Context(), one))
	b.must(b.s.CloseSession(t.Context(), one)) // it is closed already
	_, err = b.s.SetPassword(t.Context(), "ada", "hash", two)
	b.must(err)
	_, err = b.s.SetPassword(t.Context(), "ada", "hash", model.TokenHash{})
	b.must(err)
	_, err = b.s.SetActive(t.Context(), "bob", false)
	b.must(err)
	_, err = b.s.SetActive(t.Context(), "bob", true)
	b.must(err)
	all, err := b.s.Revocations(t.Context(), first, 100)
	b.must(err)
	want := []model.Revocation{
		{UserID: "ada", Hash: one},
		{UserID: "ada", Hash: two},
		{UserID: "bob"},
		{UserID: "bob", Hash: three},
		{UserID: "bob", Enabled: true},
	}
	if len(all) != len(want) {
		t.Fatalf("got %+v", all)
	}
	last := first
	for i, v := range all {
		if v.ID <= last {
			t.Errorf("id %d after %d", v.ID, last)
		}
		last, v.ID = v.ID, 0
		if v != want[i] {
			t.Errorf("got %+v, want %+v", v, want[i])
		}
	}
	if id, err := b.s.LastRevocation(t.Context()); err != nil || id != last {
		t.Errorf("the last is %d, %v, want %d", id, err, last)
	}
	if some, err := b.s.Revocations(t.Context(), all[2].ID, 1); err != nil || len(some) != 1 || some[0].Hash != three {
		t.Errorf("got %+v, %v", some, err)
	}
}
