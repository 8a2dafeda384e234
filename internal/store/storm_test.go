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

// A reconnect storm: so many users, each in stormChannels/10 channels.
const (
	stormUsers    = 1000
	stormChannels = 100
	// maxStormStatements is what their states and heads may cost together, and what their
	// log-ins may.
	maxStormStatements = 12
)

// idleSocket discards what is written to it.
type idleSocket struct{}

func (idleSocket) Write([]byte) bool { return true }
func (idleSocket) Backlogged() bool  { return false }

// atOnce calls f for every number, all at one moment.
func atOnce(n int, f func(i int)) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		all.Go(func() { // ends when f returns
			ready.Done()
			<-start
			f(i)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
}

func TestStormOfSocketsCostsADozenStatements(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		hashes := w.createStormUsers(t)
		w.createStormChannels(t)
		w.seen.Reset()
		atOnce(stormUsers, func(i int) {
			if _, u, err := w.Session(context.Background(), hashes[i]); err != nil || u.ID != stormUser(i) {
				t.Errorf("log-in %d: got user %v, %v, want %s", i, u, err, stormUser(i))
			}
		})
		if n, byName := w.seen.Statements(); n > maxStormStatements {
			t.Errorf("log-ins took %d statements, want at most %d: %v", n, maxStormStatements, byName)
		}
		w.seen.Reset()
		live := hub.Start(hub.Config{Store: w})
		defer live.Close()
		sockets := make([]*hub.Socket, stormUsers)
		atOnce(stormUsers, func(i int) {
			s, states, err := live.Attach(context.Background(), idleSocket{}, stormUser(i), 0, false)
			if err != nil || len(states) != stormChannels/10 {
				t.Errorf("socket %d: got %d channels, %v, want %d", i, len(states), err, stormChannels/10)
				return
			}
			s.Open()
			sockets[i] = s
		})
		if n, byName := w.seen.Statements(); n > maxStormStatements {
			t.Errorf("%d sockets took %d statements, want at most %d: %v", stormUsers, n, maxStormStatements, byName)
		}
		for _, s := range sockets {
			if s != nil {
				s.Close()
			}
		}
	})
}

// stormToken is the user of a token. Every hundredth has an email that only one user can
// have, and PostgreSQL rejects the name of one.
func stormToken(i int) (u chat.User, sharesEmail, rejected bool) {
	u = chat.User{ID: stormUser(i), Name: "Name of " + string(stormUser(i)), IsActive: true}
	if sharesEmail = i%100 == 0; sharesEmail {
		email := "one@example.org"
		u.Email = &email
	}
	if rejected = i == 501; rejected {
		u.Name = "\x00"
	}
	return u, sharesEmail, rejected
}

// TestStormOfTokensSharesStatements, whether their users are new or known. Each has its own
// outcome.
func TestStormOfTokensSharesStatements(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		var owners atomic.Int64 // of the email
		ensure := func(i int) {
			u, sharesEmail, rejected := stormToken(i)
			got, err := w.EnsureUser(context.Background(), u)
			switch {
			case sharesEmail && code(err) == chat.Conflict, rejected:
			case err != nil || got.ID != u.ID || got.Name != u.Name:
				t.Errorf("user %d: got %+v, %v, want %+v", i, got, err, u)
			case sharesEmail:
				owners.Add(1)
			}
		}
		atOnce(stormUsers, ensure)
		if n := owners.Load(); n != 1 {
			t.Errorf("%d users have the email, want 1", n)
		}
		n, byName := w.seen.Statements()
		// One group is written again in halves: the one with the name that is rejected.
		if puts := byName["put_user"]; n-puts > 8*maxStormStatements || puts > stormUsers+3*256 {
			t.Errorf("new users took %d statements: %v", n, byName)
		}
		w.seen.Reset()
		atOnce(stormUsers, func(i int) {
			if _, sharesEmail, rejected := stormToken(i); !sharesEmail && !rejected {
				ensure(i)
			}
		})
		if n, byName := w.seen.Statements(); n > maxStormStatements {
			t.Errorf("known users took %d statements, want at most %d: %v", n, maxStormStatements, byName)
		}
	})
}

func stormUser(i int) chat.UserID { return chat.UserID(fmt.Sprintf("user%d", i)) }

// createStormUsers creates users with a log-in each.
func (w *world) createStormUsers(t *testing.T) (hashes []model.TokenHash) {
	t.Helper()
	hashes = make([]model.TokenHash, stormUsers)
	now := chat.TimeOf(time.Now())
	const creators = 8
	atOnce(creators, func(part int) {
		for i := part; i < stormUsers; i += creators {
			hashes[i] = model.TokenHash{1, byte(i), byte(i >> 8)}
			u := chat.User{ID: stormUser(i), Name: "Name", IsActive: true, CreatedAt: now}
			_, err := w.EnsureUser(context.Background(), u)
			if err == nil {
				l := model.Login{Hash: hashes[i], UserID: u.ID, CreatedAt: now, ExpiresAt: now + 1e12}
				err = w.OpenSession(context.Background(), l)
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	return hashes
}

// createStormChannels creates channels. Each has a tenth of the users as members.
func (w *world) createStormChannels(t *testing.T) {
	t.Helper()
	for first := 0; first < stormChannels; first += 5 { // a larger group would be held for too long
		var group []state.Change
		for n := first; n < first+5; n++ {
			id := chat.NewID()
			c := state.Change{
				Kind: state.CreateChannel, ID: id, ChannelID: id, Actor: model.UserActor(stormUser(0)), At: chat.TimeOf(time.Now()),
				Channel: &chat.Channel{ID: id, Name: "c", ChannelType: chat.Group, CreatedBy: stormUser(0)},
			}
			for user := n % 10; user < stormUsers; user += 10 {
				c.Members = append(c.Members, state.InitialMember{UserID: stormUser(user), Role: chat.RoleOwner})
			}
			group = append(group, c)
		}
		outs, err := w.Commit(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range outs {
			if out.Err != nil {
				t.Fatal(out.Err)
			}
		}
	}
}
