package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// testRetention: forgotten changes are told from those that never were, and
// messages stay.
func testRetention(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	m := b.send(id, "ada", "first")
	for _, text := range []string{"second", "third", "fourth"} {
		edit := b.change(state.EditMessage, id, "ada")
		edit.MessageID, edit.Content = m.ID, text
		b.commit(edit)
	}
	limit := b.now()
	react := b.change(state.AddReaction, id, "bob")
	react.MessageID, react.Emoji = m.ID, "👍"
	b.commit(react) // seq 6

	for _, most := range []int{2, 10, 10} { // in batches, until there is no more
		if _, err := b.s.ForgetChanges(t.Context(), limit, most); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := b.s.ForgetChanges(t.Context(), limit, 10); n != 0 || err != nil {
		t.Errorf("forgot %d more, %v", n, err)
	}
	if _, err := b.s.Log(t.Context(), id, 4, 10); chat.AsError(err).Code != chat.Resync {
		t.Errorf("a log that was forgotten: %v", err)
	}
	if _, err := b.s.Log(t.Context(), other, 0, 10); chat.AsError(err).Code != chat.Resync {
		t.Errorf("another channel's beginning: %v", err)
	}
	log, err := b.s.Log(t.Context(), id, 5, 10)
	if err != nil || len(log) != 1 || log[0].Seq != 6 || log[0].Type != chat.EventMessageReaction {
		t.Errorf("what is kept: %+v, %v", log, err)
	}
	page, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "bob", Limit: 10})
	if err != nil || len(page) != 1 || page[0].Content != "fourth" || page[0].ReactionCount != 1 {
		t.Errorf("the messages are as they were: %+v, %v", page, err)
	}
	if next := b.send(id, "ada", "after"); next.Seq != 7 {
		t.Errorf("the next entry has seq %d, want 7", next.Seq)
	}
}
