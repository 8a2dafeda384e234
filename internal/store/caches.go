package store

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/chowk-chat/chowk/chat"
)

// caches hold what is read often and seldom changes, but never a right.
//
// A user is dropped when a node changes them: this node drops its own and notifies the
// others (Options.UserChanged), which call ForgetUser. A channel's members are cached with
// the version of its membership (see membersVersion), which is read together with the
// viewer's right each time. So a list is never older than the last committed change,
// whichever node made it. What else is in a list (names, pictures, how far others have
// read) may be cacheTTL old when another node changed it and its notification was lost.
type caches struct {
	users   *otter.Cache[chat.UserID, chat.User]
	members *otter.Cache[chat.ID, *memberList]
}

const (
	cacheTTL          = 2 * time.Second
	defaultCacheUsers = 100_000
	membersPerUser    = 10 // bounds the members cached
)

func newCaches(users int) *caches {
	return &caches{
		users: otter.Must(&otter.Options[chat.UserID, chat.User]{
			MaximumSize: users, ExpiryCalculator: otter.ExpiryWriting[chat.UserID, chat.User](cacheTTL),
			StatsRecorder: stats.NewCounter(), Logger: &otter.NoopLogger{},
		}),
		members: otter.Must(&otter.Options[chat.ID, *memberList]{
			MaximumWeight:    uint64(users) * membersPerUser,
			Weigher:          func(_ chat.ID, l *memberList) uint32 { return uint32(len(l.all)) + 1 },
			ExpiryCalculator: otter.ExpiryWriting[chat.ID, *memberList](cacheTTL),
			StatsRecorder:    stats.NewCounter(), Logger: &otter.NoopLogger{},
		}),
	}
}

func (c *caches) close() {
	c.users.StopAllGoroutines()
	c.members.StopAllGoroutines()
}

// CacheStats is how well a cache works.
type CacheStats struct {
	Name         string
	Hits, Misses uint64
	Entries      int
}

// CacheStats returns the statistics of all caches.
func (s *Store) CacheStats() []CacheStats {
	of := func(name string, st stats.Stats, entries int) CacheStats {
		return CacheStats{Name: name, Hits: st.Hits, Misses: st.Misses, Entries: entries}
	}
	return []CacheStats{
		of("users", s.caches.users.Stats(), s.caches.users.EstimatedSize()),
		of("members", s.caches.members.Stats(), s.caches.members.EstimatedSize()),
	}
}

// forgetUser is called when this node has changed a user, or may have.
func (s *Store) forgetUser(id chat.UserID) {
	s.ForgetUser(id)
	if s.userChanged != nil {
		s.userChanged(id)
	}
}

// ForgetUser is called when another node has changed a user.
func (s *Store) ForgetUser(id chat.UserID) {
	s.caches.users.Invalidate(id)
	s.memory.authors.forget(id)
}

// Users returns those of the users that exist. Calls for the same users at the same time
// share a statement. See command.Store.
func (s *Store) Users(ctx context.Context, ids []chat.UserID) ([]chat.User, error) {
	found, err := s.caches.users.BulkGet(ctx, ids, otter.BulkLoaderFunc[chat.UserID, chat.User](s.loadUsers))
	if err != nil {
		return nil, err
	}
	all := make([]chat.User, 0, len(found))
	for _, u := range found {
		all = append(all, u)
	}
	return all, nil
}

func (s *Store) loadUsers(ctx context.Context, ids []chat.UserID) (map[chat.UserID]chat.User, error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	all, err := s.usersBy(ctx, "users", usersByID, ids)
	loaded := make(map[chat.UserID]chat.User, len(all))
	for _, u := range all {
		loaded[u.ID] = u
	}
	return loaded, err
}

// detached is for a load that must go on when the caller who began it leaves, because
// others wait for it as well.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
}
