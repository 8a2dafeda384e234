package store

import (
	"context"
	"slices"

	"github.com/maypok86/otter/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// memberList is a channel's members as of a version.
type memberList struct {
	version membersVersion
	all     []chat.Member
}

// membersVersion differs after each change of a channel's members: leaving or getting
// another role moves rights, and joining moves count.
type membersVersion struct {
	rights chat.Seq
	count  int64
}

// maxCachedLoads is how often a list is loaded into the cache, before it is loaded without.
const maxCachedLoads = 3

// Members lists a channel's members. See command.Store.
func (s *Store) Members(ctx context.Context, channel chat.ID, viewer chat.UserID) ([]chat.Member, error) {
	current, err := s.membersVersion(ctx, channel, viewer)
	if err != nil {
		return nil, err
	}
	for range maxCachedLoads {
		list, err := s.caches.members.Get(ctx, channel, otter.LoaderFunc[chat.ID, *memberList](s.loadCachedMembers))
		if err != nil {
			return nil, err
		}
		if list.version == current || list.version.rights > current.rights {
			return list.visibleTo(viewer)
		}
		s.caches.members.Invalidate(channel)
	}
	list, err := s.loadMembers(ctx, channel)
	if err != nil {
		return nil, err
	}
	return list.visibleTo(viewer)
}

// visibleTo returns a copy to one of the members.
func (l *memberList) visibleTo(viewer chat.UserID) ([]chat.Member, error) {
	if !slices.ContainsFunc(l.all, func(m chat.Member) bool { return m.UserID == viewer }) {
		return nil, chat.ErrAccessDenied // removed a moment ago
	}
	return slices.Clone(l.all), nil // no one writes to the users in it
}

// membersVersion refuses a viewer who is not a member.
func (s *Store) membersVersion(
	ctx context.Context, channel chat.ID, viewer chat.UserID,
) (v membersVersion, err error) {
	err = s.db.Read(ctx, "members_version", func(c conn) error {
		found := false
		err := database.Query(c, `-- name: members_version
			SELECT c.rights_seq, c.member_count FROM members m JOIN channels c ON c.id = m.channel_id
			WHERE m.channel_id = $1 AND m.user_id = $2`,
			func(r row) error { found = true; return r.Scan(&v.rights, &v.count) }, channel, viewer)
		if err == nil && !found {
			err = chat.ErrAccessDenied
		}
		return err
	})
	return v, err
}

func (s *Store) loadCachedMembers(ctx context.Context, channel chat.ID) (*memberList, error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	return s.loadMembers(ctx, channel)
}

// loadMembers reads list and version in one statement, so that they are of one moment.
func (s *Store) loadMembers(ctx context.Context, channel chat.ID) (l *memberList, err error) {
	err = s.db.Read(ctx, "members", func(c conn) error {
		l = &memberList{all: []chat.Member{}}
		return database.Query(c, listMembers, func(r row) error {
			var m chat.Member
			var u chat.User
			err := memberColumns.Scan(r, &m, &u.Name, &u.Picture, &l.version.rights, &l.version.count)
			u.ID = m.UserID
			m.User = u.Ref(false)
			l.all = append(l.all, m)
			return err
		}, channel)
	})
	return l, err
}

// ForgetReads is called when a member has read something through another node.
func (s *Store) ForgetReads(channel chat.ID) { s.caches.members.Invalidate(channel) }

// forgetMembers drops what is cached about how far members have read.
func (s *Store) forgetMembers(reads []state.Read) {
	for i := range reads {
		if reads[i].Ordinal > 0 {
			continue // with each message that a user sends: these may be late
		}
		s.caches.members.Invalidate(reads[i].ChannelID)
	}
}
