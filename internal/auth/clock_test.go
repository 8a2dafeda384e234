package auth

import (
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/faultclock"
	"github.com/chowk-chat/chowk/internal/model"
)

// setClock goes on only when a test says so, and can be set.
type setClock struct {
	start   time.Time
	elapsed time.Duration
	set     int // in seconds
}

func (c *setClock) now() time.Time { return faultclock.Step(c.start.Add(c.elapsed), c.set) }

// Another node closed the session. This one believes what it remembers for as long
// as always, and not for an hour more.
func TestATokenIsNotBelievedForLongerWhenTheClockIsSetBack(t *testing.T) {
	clock := &setClock{start: time.Now()}
	db := newFakeStore()
	a := New(Options{Mode: ModeAccounts, Store: db, Now: clock.now})
	db.accounts["ada"] = model.Account{User: chat.User{ID: "ada", Name: "Ada", IsActive: true}}
	token := must(OpenSession(t.Context(), db, "ada", clock.now(), 24*time.Hour))
	must(a.Authenticate(t.Context(), token))
	delete(db.sessions, HashToken(token))
	clock.set = -3600
	must(a.Authenticate(t.Context(), token))
	clock.elapsed = defaultCacheTTL + time.Second
	_, err := a.Authenticate(t.Context(), token)
	wantCode(t, err, chat.Unauthorized)
}

// What is over by a clock that is wrong is good again when the clock is right.
func TestAClockThatWasAheadForAWhileEndsNoSession(t *testing.T) {
	clock := &setClock{start: time.Now()}
	db := newFakeStore()
	a := New(Options{Mode: ModeAccounts, Store: db, Now: clock.now})
	db.accounts["ada"] = model.Account{User: chat.User{ID: "ada", Name: "Ada", IsActive: true}}
	token := must(OpenSession(t.Context(), db, "ada", clock.now(), 30*time.Minute))
	clock.set = 3600
	_, err := a.Authenticate(t.Context(), token)
	wantCode(t, err, chat.Unauthorized)
	if before := expiredBefore(clock.now()); db.sessions[HashToken(token)].ExpiresAt < before {
		t.Error("the session would be deleted")
	}
	clock.set = 0
	must(a.Authenticate(t.Context(), token))
}
