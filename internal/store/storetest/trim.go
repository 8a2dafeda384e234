package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// testTrim: what is forgotten is gone, and the channel goes on where it was.
func testTrim(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	for range 5 {
		b.commit(b.message(id, "ada", "x"))
	}
	other := b.channel("ada")
	b.must(b.s.DeleteUpTo(t.Context(), id, 4))
	log, err := b.s.Log(t.Context(), id, 4, 100)
	b.must(err)
	if len(log) != 2 || log[0].Seq != 5 || log[1].Seq != 6 {
		t.Errorf("%+v", log)
	}
	if log, err := b.s.Log(t.Context(), id, 0, 100); err != nil || len(log) != 0 {
		t.Errorf("of what is forgotten: %+v, %v", log, err)
	}
	if out := b.commit(b.message(id, "ada", "x")); out.Err != nil || out.Entry.Seq != 7 {
		t.Errorf("%+v", out)
	}
	if log, err := b.s.Log(t.Context(), other, 0, 100); err != nil || len(log) != 1 {
		t.Errorf("another channel: %+v, %v", log, err)
	}
	if st, err := b.s.ChannelStates(t.Context(), chat.UserID("bob")); err != nil || len(st) != 1 || st[0].LastSeq != 7 {
		t.Errorf("%+v, %v", st, err)
	}
}
