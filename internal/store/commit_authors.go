package store

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Authors are looked up for every message committed, and hardly ever change.
const (
	maxAuthors  = 8192            // remembered, and as many older ones
	keepAuthors = 2 * time.Second // at least, and at most twice as long
)

// authors caches what is shown of the authors of messages. A name that was changed through
// another node is seen here after keepAuthors, or twice that. Rights are never read from here.
type authors struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.UserID]*chat.UserRef
	rotateAt   time.Time // when now becomes older
}

// fill sets the users that are cached and returns the others.
func (a *authors) fill(users map[chat.UserID]*chat.UserRef) (unknown []chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.rotateAt) || len(a.now) >= maxAuthors {
		a.now, a.older = make(map[chat.UserID]*chat.UserRef, len(a.now)), a.now
		if now.After(a.rotateAt.Add(keepAuthors)) {
			a.older = nil // no one has written for so long
		}
		a.rotateAt = now.Add(keepAuthors)
	}
	for id := range users {
		ref := a.now[id]
		if ref == nil {
			ref = a.older[id]
		}
		if ref == nil {
			unknown = append(unknown, id)
		}
		users[id] = ref
	}
	return unknown
}

func (a *authors) remember(found []*chat.UserRef) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, ref := range found {
		if a.now != nil && len(a.now) < maxAuthors {
			a.now[ref.ID] = ref
		}
	}
}

// forget drops a user who has changed. A look-up under way may bring the old name back for
// keepAuthors.
func (a *authors) forget(id chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.now, id)
	delete(a.older, id)
}
