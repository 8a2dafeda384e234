package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/databasetest"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

func (w *world) cache(name string) store.CacheStats {
	for _, c := range w.CacheStats() {
		if c.Name == name {
			return c
		}
	}
	return store.CacheStats{}
}

// background runs f in n goroutines, again and again, until the function that it returns is
// called.
func background(t *testing.T, n int, f func() error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range n {
		running.Go(func() { // ends with ctx
			for ctx.Err() == nil {
				if err := f(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// TestCachedUsersAreNeverStale reads all the time while a name changes. A read that begins
// after a change returns the new name, however reads and changes overlap.
func TestCachedUsersAreNeverStale(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		w.rename(t, "ada", "0")
		stop := background(t, 8, func() error {
			_, err := w.retryUsers(t, "ada")
			return err
		})
		changes := 200
		if testing.Short() {
			changes = 50
		}
		for i := range changes {
			name := fmt.Sprint(i)
			w.rename(t, "ada", name)
			all, err := w.retryUsers(t, "ada", "unknown", "ada")
			if err != nil || len(all) != 1 || all[0].Name != name {
				t.Fatalf("after change %d: got %+v, %v, want the name %s", i, all, err, name)
			}
		}
		stop()
		if c := w.cache("users"); c.Hits == 0 || c.Misses == 0 || c.Entries != 1 {
			t.Errorf("the cache has %+v, want hits, misses and one entry", c)
		}
	})
}

// retryUsers retries when there is no connection in time on a busy machine.
func (w *world) retryUsers(t *testing.T, ids ...chat.UserID) (all []chat.User, err error) {
	for range 100 {
		all, err = w.Users(t.Context(), ids)
		if c := code(err); c != chat.Overloaded && c != chat.Unavailable {
			break
		}
	}
	return all, err
}

func TestReadsOfOneUserShareAStatement(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url})
	w.rename(t, "ada", "Ada")
	unlock := pgtest.Lock(t, url, "users")
	w.seen.Reset()
	var reads sync.WaitGroup
	for range 100 {
		reads.Go(func() { // ends when the user is read
			if found, err := w.Users(context.Background(), []chat.UserID{"ada"}); err != nil || len(found) != 1 {
				t.Errorf("got %v, %v, want one user", found, err)
			}
		})
	}
	databasetest.Eventually(t, "the first read waits", func() bool { return w.PoolStats().InUse == 1 })
	unlock()
	reads.Wait()
	if n, byName := w.seen.Statements(); n > 2 {
		t.Errorf("100 reads took %v, want at most 2 statements", byName)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := open(t, store.Options{URL: sqliteURL(t), CacheUsers: 10})
	for i := range 100 {
		id := chat.UserID(fmt.Sprint("user", i))
		w.rename(t, id, "x")
		if _, err := w.Users(t.Context(), []chat.UserID{id}); err != nil {
			t.Fatal(err)
		}
	}
	databasetest.Eventually(t, "the oldest are evicted", func() bool { return w.cache("users").Entries <= 10 })
}

func (w *world) changeMember(t *testing.T, channel chat.ID, kind state.ChangeKind, user chat.UserID, role chat.Role) {
	t.Helper()
	out, err := w.Commit(t.Context(), []state.Change{{
		Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor("ada"), At: 1, Subject: user, Role: role,
	}})
	if err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
}

// roleOf returns a user's role in ada's list of members.
func (w *world) roleOf(t *testing.T, channel chat.ID, user chat.UserID) chat.Role {
	t.Helper()
	all, err := w.Members(t.Context(), channel, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(all, func(m chat.Member) bool { return m.UserID == user }); i >= 0 {
		return all[i].Role
	}
	return chat.NotMember
}

// TestCachedMembersAreNeverStale, on whichever node a change was committed.
func TestCachedMembersAreNeverStale(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	nodes := []*world{open(t, store.Options{URL: url}), open(t, store.Options{URL: url, SharedOpen: true})}
	channel := newChannel(t, nodes[0].Store)
	for i := range 5 {
		nodes[0].rename(t, chat.UserID(fmt.Sprint("user", i)), "x")
	}
	for _, w := range nodes {
		stop := background(t, 3, func() error {
			_, err := w.Members(t.Context(), channel, "ada")
			return err
		})
		defer stop()
	}
	steps := []struct {
		kind state.ChangeKind
		role chat.Role
	}{{state.AddMember, chat.RoleMember}, {state.UpdateMember, chat.RoleAdmin}, {state.RemoveMember, chat.NotMember}}
	for round := range 30 {
		user := chat.UserID(fmt.Sprint("user", round%5))
		for i, step := range steps {
			nodes[(round+i)%2].changeMember(t, channel, step.kind, user, step.role)
			for n, w := range nodes {
				if got := w.roleOf(t, channel, user); got != step.role {
					t.Fatalf("round %d, step %d: on node %d %s has role %q, want %q", round, i, n, user, got, step.role)
				}
			}
		}
		if _, err := nodes[1].Members(t.Context(), channel, user); code(err) != chat.ErrAccessDenied.Code {
			t.Fatalf("a removed member lists the members: %v, want a refusal", err)
		}
	}
	if c := nodes[0].cache("members"); c.Hits == 0 {
		t.Errorf("the cache has %+v, want hits", c)
	}
}
