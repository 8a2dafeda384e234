package store

import (
	"sync"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

const (
	recentMost = 8192 // ids remembered, and as many older ones
	// A group with a duplicate in it costs an attempt that comes to nothing. Above
	// this share of duplicates the look before is cheaper.
	duplicatesMost = 0.003
	// duplicatesFade is the weight of one group in the share of duplicates.
	duplicatesFade = 1.0 / 64
)

// recentIDs knows which ids were committed here a moment ago, and how many of all
// changes are duplicates of late. It is a guess that saves time: duplicates are
// recognised by the database.
type recentIDs struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.ID]struct{}
	share      float64 // of duplicates
}

// allNew says whether to expect none of the changes to be a duplicate.
func (r *recentIDs) allNew(changes []state.Change) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.share > duplicatesMost {
		return false
	}
	for i := range changes {
		id := changes[i].ID
		if _, known := r.now[id]; known {
			return false
		}
		if _, known := r.older[id]; known {
			return false
		}
	}
	return true
}

func (r *recentIDs) note(changes []state.Change, outcomes []state.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	duplicates := 0
	for i := range changes {
		if outcomes[i].Duplicate {
			duplicates++
		}
		if r.now == nil || len(r.now) >= recentMost {
			r.now, r.older = make(map[chat.ID]struct{}, recentMost), r.now
		}
		r.now[changes[i].ID] = struct{}{}
	}
	r.share += (float64(duplicates)/float64(len(changes)) - r.share) * duplicatesFade
}
