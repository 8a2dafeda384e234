package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// testPins pins as many messages as a channel may have, and lists them.
func testPins(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	pin := func(m chat.ID) state.Change { return b.about(state.PinMessage, id, "ada", m) }
	var pinned []chat.ID // the newest first
	for range chat.MaxPins {
		m := b.send(id, "bob", "x")
		pinned = append([]chat.ID{m.ID}, pinned...)
		if out := b.commit(pin(m.ID)); out.Entry == nil {
			t.Fatalf("a pinned message has no entry: %+v", out)
		}
	}
	last := b.send(id, "bob", "one too many")
	b.refused(b.try(pin(last.ID)), chat.Conflict)
	if out := b.commit(pin(pinned[0])); out.Entry != nil {
		t.Errorf("a message pinned twice has the entry %+v", out.Entry)
	}
	b.commit(b.about(state.UnpinMessage, id, "ada", pinned[0]))
	b.commit(b.about(state.DeleteMessage, id, "ada", pinned[1]))
	page, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "bob", Limit: 100, Pinned: true})
	b.must(err)
	var listed []chat.ID
	for _, m := range page {
		listed = append(listed, m.ID)
	}
	b.equal("the pinned messages", pinned[2:], listed)
	b.commit(pin(last.ID)) // there is room again
	b.log(id)
}
