package store

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Authors are looked up for every message committed, and change hardly ever.
const (
	authorsMost = 8192            // remembered, and as many older ones
	authorsKept = 2 * time.Second // at least, and at most twice that
)

// authors remembers what is shown of the authors of messages. A name changed
// through another node is seen here authorsKept or twice that later; rights are
// never taken from here.
type authors struct {
	mu         sync.Mutex // guards what follows
	now, older map[chat.UserID]*chat.UserRef
	turn       time.Time // of now into older
}

// fill sets the users that it remembers and returns the others.
func (a *authors) fill(users map[chat.UserID]*chat.UserRef) (unknown []chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.turn) || len(a.now) >= authorsMost {
		a.now, a.older = make(map[chat.UserID]*chat.UserRef, len(a.now)), a.now
		if now.After(a.turn.Add(authorsKept)) {
			a.older = nil // nobody wrote for so long
		}
		a.turn = now.Add(authorsKept)
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
		if a.now != nil && len(a.now) < authorsMost {
			a.now[ref.ID] = ref
		}
	}
}

// forget is for a user who has changed. A look-up under way may bring the old name
// back for authorsKept.
func (a *authors) forget(id chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.now, id)
	delete(a.older, id)
}
