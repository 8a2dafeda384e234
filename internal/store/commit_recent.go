package store

import (
	"sync"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

const (
	maxRecent = 8192 // ids remembered, and as many older ones
	// maxDuplicates is the greatest share of duplicates for the fast path. A group with a
	// duplicate in it costs an attempt that stores nothing; above this share it is cheaper to
	// read first.
	maxDuplicates = 0.003
	// duplicatesDecay is the weight of one group in the share of duplicates.
	duplicatesDecay = 1.0 / 64
)

// recentIDs remembers which ids were committed here a moment ago, and the recent share of
// duplicates. It only predicts which path is faster: the database recognises duplicates.
type recentIDs struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.ID]struct{}
	share      float64 // of duplicates
}

// allNew reports whether the group is expected to have no duplicate.
func (r *recentIDs) allNew(changes []state.Change) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.share > maxDuplicates {
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
		if r.now == nil || len(r.now) >= maxRecent {
			r.now, r.older = make(map[chat.ID]struct{}, maxRecent), r.now
		}
		r.now[changes[i].ID] = struct{}{}
	}
	r.share += (float64(duplicates)/float64(len(changes)) - r.share) * duplicatesDecay
}
