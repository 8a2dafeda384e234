package storetest

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// sendMany sends messages with the texts 0, 1, 2 …
func (b *bench) sendMany(id chat.ID, n int) (sent []*chat.Message) {
	b.t.Helper()
	for i := range n {
		sent = append(sent, b.send(id, "ada", fmt.Sprint(i)))
	}
	return sent
}

// testHistoryPages pages back to the beginning: nothing is missing or comes twice (D-18).
func testHistoryPages(t *testing.T, b *bench) {
	id := b.channel("ada")
	sent := b.sendMany(id, 25)
	b.commit(b.about(state.DeleteMessage, id, "ada", sent[20].ID))
	seen := 0
	q := model.HistoryQuery{ChannelID: id, Viewer: "ada", Limit: 10}
	for last := chat.Seq(1 << 40); ; {
		page, err := b.s.History(t.Context(), q)
		b.must(err)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			if m.Seq >= last || m.IsDeleted {
				t.Fatalf("seq %d follows %d (deleted: %v)", m.Seq, last, m.IsDeleted)
			}
			last = m.Seq
			seen++
		}
		q.BeforeID = page[len(page)-1].ID
	}
	if seen != 24 {
		t.Errorf("the pages have %d messages, want 24", seen)
	}
}

func testHistoryQueries(t *testing.T, b *bench) {
	id := b.channel("ada")
	sent := b.sendMany(id, 10)
	for name, c := range map[string]struct {
		q    model.HistoryQuery
		want []string
	}{
		"newest":                   {model.HistoryQuery{Limit: 2}, []string{"9", "8"}},
		"before an id":             {model.HistoryQuery{BeforeID: sent[5].ID, Limit: 3}, []string{"4", "3", "2"}},
		"before a time":            {model.HistoryQuery{BeforeTime: sent[5].CreatedAt, Limit: 3}, []string{"4", "3", "2"}},
		"after a seq":              {model.HistoryQuery{AfterSeq: sent[5].Seq, Limit: 3}, []string{"8", "7", "6"}},
		"before an id in a thread": {model.HistoryQuery{BeforeID: sent[5].ID, ParentID: chat.NewID(), Limit: 3}, nil},
	} {
		c.q.ChannelID, c.q.Viewer = id, "ada"
		page, err := b.s.History(t.Context(), c.q)
		b.must(err)
		var texts []string
		for _, m := range page {
			texts = append(texts, m.Content)
		}
		b.equal(name, c.want, texts)
	}
	_, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "eve", Limit: 1})
	b.fails(err, chat.Forbidden)
	_, err = b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "ada", Limit: 1, BeforeID: chat.NewID()})
	b.fails(err, chat.NotFound)
}
