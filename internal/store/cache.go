package store

import (
	"context"
	"slices"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// caches keep what is read often and changes seldom: never a right.
//
// Users are forgotten when a node changes them: this one does so by itself, and tells
// the others (Options.UserChanged), of whom it hears by ForgetUser. A channel's members are kept
// with the version of its membership (see membersVersion), which is read together
// with the viewer's right each time, so that a list is never older than the last
// committed change, whichever node made it. What else is in them (names, pictures,
// how far others have read) may be up to cacheKept old when another node changed
// it and nothing was heard of that.
type caches struct {
	users   *otter.Cache[chat.UserID, chat.User]
	members *otter.Cache[chat.ID, *memberList]
}

// memberList is a channel's members as of a version.
type memberList struct {
	version membersVersion
	all     []chat.Member
}

// membersVersion is another one after each change of a channel's members: one who
// leaves or gets another role moves rights, and one who joins moves count.
type membersVersion struct {
	rights chat.Seq
	count  int64
}

const (
	cacheKept  = 2 * time.Second
	cacheUsers = 100_000 // by default
	memberSize = 10      // members to a user, for the bound
	cacheRetry = 3       // loads, before one does without the cache
	loadLimit  = gatherTimeout
)

func newCaches(users int) *caches {
	return &caches{
		users: otter.Must(&otter.Options[chat.UserID, chat.User]{
			MaximumSize: users, ExpiryCalculator: otter.ExpiryWriting[chat.UserID, chat.User](cacheKept),
			StatsRecorder: stats.NewCounter(), Logger: &otter.NoopLogger{},
		}),
		members: otter.Must(&otter.Options[chat.ID, *memberList]{
			MaximumWeight: uint64(users) * memberSize, Weigher: func(_ chat.ID, l *memberList) uint32 { return uint32(len(l.all)) + 1 },
			ExpiryCalculator: otter.ExpiryWriting[chat.ID, *memberList](cacheKept),
			StatsRecorder:    stats.NewCounter(), Logger: &otter.NoopLogger{},
		}),
	}
}

func (c *caches) close() {
	c.users.StopAllGoroutines()
	c.members.StopAllGoroutines()
}

// CacheStats says how well a cache does.
type CacheStats struct {
	Name         string
	Hits, Misses uint64
	Entries      int
}

// CacheStats tells of all caches.
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

// Users gives those of the users that exist. See command.Store. Those who ask for the
// same ones at the same time share a statement.
func (s *Store) Users(ctx context.Context, ids []chat.UserID) ([]chat.User, error) {
	found, err := s.caches.users.BulkGet(ctx, ids, otter.BulkLoaderFunc[chat.UserID, chat.User](func(ctx context.Context, ids []chat.UserID) (map[chat.UserID]chat.User, error) {
		ctx, cancel := shared(ctx)
		defer cancel()
		all, err := s.usersBy(ctx, "users", "WHERE u.id = ANY($1)", ids)
		loaded := make(map[chat.UserID]chat.User, len(all))
		for _, u := range all {
			loaded[u.ID] = u
		}
		return loaded, err
	}))
	if err != nil {
		return nil, err
	}
	all := make([]chat.User, 0, len(found))
	for _, u := range found {
		all = append(all, u)
	}
	return all, nil
}

// shared is for a load that goes on when whoever began it leaves: others wait for
// it too.
func shared(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), loadLimit)
}

// Members lists a channel's members. See command.Store.
func (s *Store) Members(ctx context.Context, channel chat.ID, viewer chat.UserID) ([]chat.Member, error) {
	now, err := s.membersVersion(ctx, channel, viewer)
	if err != nil {
		return nil, err
	}
	for range cacheRetry {
		list, err := s.caches.members.Get(ctx, channel, otter.LoaderFunc[chat.ID, *memberList](func(ctx context.Context, channel chat.ID) (*memberList, error) {
			ctx, cancel := shared(ctx)
			defer cancel()
			return s.loadMembers(ctx, channel)
		}))
		if err != nil {
			return nil, err
		}
		if list.version == now || list.version.rights > now.rights {
			return list.shownTo(viewer)
		}
		s.caches.members.Invalidate(channel)
	}
	list, err := s.loadMembers(ctx, channel)
	if err != nil {
		return nil, err
	}
	return list.shownTo(viewer)
}

// shownTo gives a copy to one of them.
func (l *memberList) shownTo(viewer chat.UserID) ([]chat.Member, error) {
	if !slices.ContainsFunc(l.all, func(m chat.Member) bool { return m.UserID == viewer }) {
		return nil, chat.ErrAccessDenied // removed a moment ago
	}
	return slices.Clone(l.all), nil // nobody writes to the users in it
}

// membersVersion refuses whoever is no member.
func (s *Store) membersVersion(ctx context.Context, channel chat.ID, viewer chat.UserID) (v membersVersion, err error) {
	err = s.db.Read(ctx, "members_version", func(c conn) error {
		found := false
		err := database.Query(c, `-- name: members_version
			SELECT c.rights_seq, c.member_count FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.channel_id = $1 AND m.user_id = $2`,
			func(r row) error { found = true; return r.Scan(&v.rights, &v.count) }, channel, viewer)
		if err == nil && !found {
			err = chat.ErrAccessDenied
		}
		return err
	})
	return v, err
}

// loadMembers reads list and version in one statement: they are of one moment.
func (s *Store) loadMembers(ctx context.Context, channel chat.ID) (l *memberList, err error) {
	err = s.db.Read(ctx, "members", func(c conn) error {
		l = &memberList{all: []chat.Member{}}
		return database.Query(c, `-- name: list_members
			SELECT m.user_id, m.role, m.joined_at, m.last_read_seq, COALESCE(u.name, ''), u.picture, c.rights_seq, c.member_count
			FROM members m JOIN channels c ON c.id = m.channel_id LEFT JOIN users u ON u.id = m.user_id
			WHERE m.channel_id = $1 ORDER BY m.joined_at, m.user_id`, func(r row) error {
			var m chat.Member
			var u chat.User
			err := r.Scan(&m.UserID, (*string)(&m.Role), &m.JoinedAt, &m.LastReadSeq, &u.Name, &u.Picture, &l.version.rights, &l.version.count)
			u.ID = m.UserID
			m.User = u.Ref(false)
			l.all = append(l.all, m)
			return err
		}, channel)
	})
	return l, err
}

// ForgetReads is called when somebody has read something through another node.
func (s *Store) ForgetReads(channel chat.ID) { s.caches.members.Invalidate(channel) }

// readsMoved forgets what is known of how far members have read.
func (s *Store) readsMoved(reads []state.Read) {
	for i := range reads {
		if reads[i].Ordinal > 0 {
			continue // with each message of one's own: these may be late
		}
		s.caches.members.Invalidate(reads[i].ChannelID)
	}
}
