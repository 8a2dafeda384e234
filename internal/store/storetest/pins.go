package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// testPins pins as many messages as a channel may have, and lists them.
func testPins(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	pin := func(kind state.ChangeKind, m chat.ID) state.Outcome {
		c := b.change(kind, id, "ada")
		c.MessageID = m
		return b.commit(c)
	}
	pinned := func() (ids []chat.ID) {
		page, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "bob", Limit: 100, Pinned: true})
		b.must(err)
		for _, m := range page {
			ids = append(ids, m.ID)
		}
		return ids
	}
	var want []chat.ID
	for range chat.MaxPins {
		m := b.send(id, "bob", "x")
		want = append([]chat.ID{m.ID}, want...)
		if out := pin(state.PinMessage, m.ID); out.Err != nil || out.Entry == nil {
			t.Fatalf("pin: %+v", out)
		}
	}
	last := b.send(id, "bob", "one too many")
	b.refused(pin(state.PinMessage, last.ID), chat.Conflict)
	if out := pin(state.PinMessage, want[0]); out.Err != nil || out.Entry != nil {
		t.Errorf("pin again: %+v, want no entry", out)
	}
	pin(state.UnpinMessage, want[0])
	pin(state.DeleteMessage, want[1])
	if diff := cmp.Diff(want[2:], pinned()); diff != "" {
		t.Errorf("pinned (-want +got):\n%s", diff)
	}
	if out := pin(state.PinMessage, last.ID); out.Err != nil {
		t.Errorf("pin after an unpin: %v", out.Err)
	}
	b.log(id)
}
