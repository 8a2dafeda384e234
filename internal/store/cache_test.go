package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

func (w *world) rename(t *testing.T, id chat.UserID, name string) {
	t.Helper()
	if _, err := w.EnsureUser(t.Context(), chat.User{ID: id, Name: name, IsActive: true}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) cache(name string) store.CacheStats {
	for _, c := range w.CacheStats() {
		if c.Name == name {
			return c
		}
	}
	return store.CacheStats{}
}

// TestUsersAreCachedAndNeverStale reads all the time while names change: what is
// read after a change shows it, however the reads and the change overlap.
func TestUsersAreCachedAndNeverStale(t *testing.T) {
	t.Parallel()
	everyDatabase(t, func(t *testing.T, url string) {
		w := open(t, store.Options{URL: url})
		w.rename(t, "ada", "0")
		ctx, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for ctx.Err() == nil {
					if _, err := w.patientUsers(t, "ada"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for i := range 200 {
			name := fmt.Sprint(i)
			w.rename(t, "ada", name)
			all, err := w.patientUsers(t, "ada", "nobody", "ada")
			if err != nil || len(all) != 1 || all[0].Name != name {
				t.Fatalf("after change %d: %+v, %v", i, all, err)
			}
		}
		stop()
		readers.Wait()
		if c := w.cache("users"); c.Hits == 0 || c.Misses == 0 || c.Entries != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// patientUsers asks again when a busy machine gave no connection in time.
func (w *world) patientUsers(t *testing.T, ids ...chat.UserID) (all []chat.User, err error) {
	for range 100 {
		all, err = w.Users(t.Context(), ids)
		if code := chat.AsError(err).Code; err == nil || code != chat.Overloaded && code != chat.Unavailable {
			break
		}
	}
	return all, err
}

func TestManyWhoAskForOneUserAskOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	w := open(t, store.Options{URL: url})
	w.rename(t, "ada", "Ada")
	letGo := lockUsers(t, url)
	w.seen.forget()
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if found, err := w.Users(context.Background(), []chat.UserID{"ada"}); err != nil || len(found) != 1 {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	eventually(t, "the first one asks", func() bool { return w.PoolStats().InUse == 1 })
	letGo()
	all.Wait()
	if n, by := w.seen.statements(); n > 2 {
		t.Errorf("they took %v", by)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := open(t, store.Options{URL: "sqlite:" + t.TempDir() + "/chowk.db", CacheUsers: 10})
	for i := range 100 {
		id := chat.UserID(fmt.Sprint("user", i))
		w.rename(t, id, "x")
		if _, err := w.Users(t.Context(), []chat.UserID{id}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the oldest leave", func() bool { return w.cache("users").Entries <= 10 })
}

// TestMembersAreNeverStale, on whichever node the change was made.
func TestMembersAreNeverStale(t *testing.T) {
	t.Parallel()
	url := pgtest.DatabaseUnlessShort(t)
	here, there := open(t, store.Options{URL: url}), open(t, store.Options{URL: url, SharedOpen: true})
	f := &fleet{t: t, world: here}
	f.found()
	channel := f.channels[0]
	for i := range 5 {
		here.rename(t, chat.UserID(fmt.Sprint("user", i)), "x")
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for _, w := range []*world{here, there} {
		for range 3 {
			readers.Go(func() {
				for ctx.Err() == nil {
					if _, err := w.Members(t.Context(), channel, "ada"); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	change := func(w *world, kind state.ChangeKind, who chat.UserID, role chat.Role) {
		t.Helper()
		out, err := w.Commit(t.Context(), []state.Change{{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor("ada"), At: 1, Subject: who, Role: role}})
		if err != nil || out[0].Err != nil {
			t.Fatal(err, out)
		}
	}
	role := func(w *world, who chat.UserID) chat.Role {
		t.Helper()
		all, err := w.Members(t.Context(), channel, "ada")
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(all, func(m chat.Member) bool { return m.UserID == who }); i >= 0 {
			return all[i].Role
		}
		return chat.NotMember
	}
	for i := range 30 {
		who := chat.UserID(fmt.Sprint("user", i%5))
		for step, c := range []struct {
			kind state.ChangeKind
			role chat.Role
		}{{state.AddMember, chat.RoleMember}, {state.UpdateMember, chat.RoleAdmin}, {state.RemoveMember, chat.NotMember}} {
			by := here
			if (i+step)%2 == 1 {
				by = there
			}
			change(by, c.kind, who, c.role)
			for _, w := range []*world{here, there} {
				if got := role(w, who); got != c.role {
					t.Fatalf("round %d, step %d: %q is %q, want %q", i, step, who, got, c.role)
				}
			}
		}
		if _, err := there.Members(t.Context(), channel, who); code(err) != chat.ErrAccessDenied.Code {
			t.Fatalf("a removed member got %v", err)
		}
	}
	stop()
	readers.Wait()
	if c := here.cache("members"); c.Hits == 0 {
		t.Errorf("%+v", c)
	}
}
