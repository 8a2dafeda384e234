package store

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

func TestManyDuplicatesTurnTheQuickWayOff(t *testing.T) {
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
		t.Error("what was committed a moment ago counts as new, or what was not does not")
	}
	for range 40 {
		commit(group(100), 1)
	}
	if r.allNew(group(1)) {
		t.Error("1% of duplicates do not turn it off")
	}
	for range 400 {
		commit(group(100), 0)
	}
	if !r.allNew(group(1)) {
		t.Error("it does not come on again")
	}
	if n := len(r.now) + len(r.older); n > 2*recentMost {
		t.Errorf("%d ids are remembered", n)
	}
}
