package store_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

const (
	stormUsers = 1000
	// stormMost is what their standings and heads may cost together, and what their
	// sessions may.
	stormMost = 12
)

// deaf is a socket that nobody looks at.
type deaf struct{}

func (deaf) Write([]byte) bool { return true }
func (deaf) Backlogged() bool  { return false }

// atOnce calls f for every number, all at one moment.
func atOnce(n int, f func(i int)) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		all.Go(func() {
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
}

func TestAThousandSocketsAtOnceCostADozenStatements(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		hashes := stormPeople(t, w)
		w.seen.forget()
		atOnce(stormUsers, func(i int) {
			if _, u, err := w.Session(context.Background(), hashes[i]); err != nil || u.ID != stormUser(i) {
				t.Errorf("session %d: %v, %v", i, u, err)
			}
		})
		if n, by := w.seen.statements(); n > stormMost {
			t.Errorf("sessions took %d statements: %v", n, by)
		}
		w.seen.forget()
		live := hub.Start(hub.Config{Store: w})
		defer live.Close()
		sockets := make([]*hub.Socket, stormUsers)
		atOnce(stormUsers, func(i int) {
			s, channelStates, err := live.Attach(context.Background(), deaf{}, stormUser(i), 0, false)
			if err != nil || len(channelStates) != 10 {
				t.Errorf("socket %d: %d channels, %v", i, len(channelStates), err)
				return
			}
			s.Open()
			sockets[i] = s
		})
		n, by := w.seen.statements()
		if n > stormMost {
			t.Errorf("%d sockets took %d statements: %v", stormUsers, n, by)
		}
		t.Logf("%d sockets: %v", stormUsers, by)
		for _, s := range sockets {
			if s != nil {
				s.Close()
			}
		}
	})
}

// TestAStormOfTokensSharesStatements whether their users are new or known, and each
// has an outcome of its own.
func TestAStormOfTokensSharesStatements(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		email := "one@example.org"
		var owners atomic.Int64
		ensure := func(i int) {
			u := chat.User{ID: stormUser(i), Name: "Name of " + string(stormUser(i)), IsActive: true}
			if i%100 == 0 {
				u.Email = &email // of one of them
			}
			if i == 501 {
				u.Name = "\x00" // PostgreSQL takes offence
			}
			got, err := w.EnsureUser(context.Background(), u)
			switch {
			case u.Email != nil && code(err) == chat.Conflict, i == 501:
			case err != nil || got.ID != u.ID || got.Name != u.Name:
				t.Errorf("user %d: %+v, %v", i, got, err)
			case u.Email != nil:
				owners.Add(1)
			}
		}
		atOnce(stormUsers, ensure)
		if n := owners.Load(); n != 1 {
			t.Errorf("an email is that of %d users", n)
		}
		n, by := w.seen.statements()
		// One group is written again, in halves: it has the name that is refused.
		if n -= by["put_user"]; n > 8*stormMost || by["put_user"] > stormUsers+3*256 {
			t.Errorf("new users took %d statements: %v", n, by)
		}
		w.seen.forget()
		atOnce(stormUsers, func(i int) {
			if i%100 != 0 && i != 501 {
				ensure(i)
			}
		})
		if n, by := w.seen.statements(); n > stormMost {
			t.Errorf("known users took %d statements: %v", n, by)
		}
	})
}

func stormUser(i int) chat.UserID { return chat.UserID(fmt.Sprintf("user%d", i)) }

// stormPeople makes users with a session each, every one in ten channels of a
// hundred.
func stormPeople(t *testing.T, w *world) (hashes []model.TokenHash) {
	t.Helper()
	hashes = make([]model.TokenHash, stormUsers)
	now := chat.TimeOf(time.Now())
	var work sync.WaitGroup
	for part := range 8 {
		work.Go(func() {
			for i := part; i < stormUsers; i += 8 {
				hashes[i] = model.TokenHash{1, byte(i), byte(i >> 8)}
				_, err := w.EnsureUser(context.Background(), chat.User{ID: stormUser(i), Name: "Name", IsActive: true, CreatedAt: now})
				if err == nil {
					err = w.OpenSession(context.Background(), model.Login{Hash: hashes[i], UserID: stormUser(i), CreatedAt: now, ExpiresAt: now + 1e12})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	var changes []state.Change
	for c := range 100 {
		id := chat.NewID()
		change := state.Change{
			Kind: state.CreateChannel, ID: id, ChannelID: id, Actor: model.UserActor(stormUser(0)), At: now,
			Channel: &chat.Channel{ID: id, Name: "c", ChannelType: chat.Group, CreatedBy: stormUser(0)},
		}
		for i := range 100 { // user i*10 + c%10
			change.Members = append(change.Members, state.InitialMember{UserID: stormUser(i*10 + c%10), Role: chat.RoleOwner})
		}
		changes = append(changes, change)
	}
	for len(changes) > 0 {
		n := min(5, len(changes)) // a group is held for less than the limit
		out, err := w.Commit(t.Context(), changes[:n])
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		changes = changes[n:]
	}
	return hashes
}
