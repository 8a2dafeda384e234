package store

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

func TestManyDuplicatesTurnTheFastPathOff(t *testing.T) {
	var r recentIDs
	group := func(n int) []state.Change {
		all := make([]state.Change, n)
		for i := range all {
			all[i].ID = chat.NewID()
		}
		return all
	}
	commit := func(g []state.Change, duplicates int) {
		outcomes := make([]state.Outcome, len(g))
		for i := range duplicates {
			outcomes[i].Duplicate = true
		}
		r.note(g, outcomes)
	}
	g := group(100)
	if commit(g, 0); !r.allNew(group(1)) || r.allNew(g[99:]) {
		t.Error("a change committed a moment ago counts as new, or a new one does not")
	}
	for range 40 {
		commit(group(100), 1)
	}
	if r.allNew(group(1)) {
		t.Error("1% of duplicates do not turn the fast path off")
	}
	for range 400 {
		commit(group(100), 0)
	}
	if !r.allNew(group(1)) {
		t.Error("the fast path does not come on again")
	}
	if n := len(r.now) + len(r.older); n > 2*maxRecent {
		t.Errorf("%d ids are remembered, want at most %d", n, 2*maxRecent)
	}
}
