package store

import (
	"context"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// membershipColumns are those of a member m with the unread count in channel c:
// messages since the last one read, but for deleted ones.
const membershipColumns = `m.user_id, m.role, m.is_starred, m.is_muted, m.notifications_enabled, m.notification_level, m.joined_at, m.last_read_at, m.last_read_seq,
	c.message_count - m.read_ordinal - (SELECT count(*) FROM messages d WHERE d.channel_id = m.channel_id AND d.ordinal > m.read_ordinal AND d.is_deleted)`

func scanMembership(r row, ch *channelInList) error {
	var lastMessage, lastRead chat.Time
	m := new(chat.Membership)
	err := r.Scan(append(channelInto(&ch.Channel, &lastMessage),
		&m.UserID, (*string)(&m.Role), &m.IsStarred, &m.IsMuted, &m.NotificationsEnabled, (*string)(&m.NotificationLevel), &m.JoinedAt, &lastRead, &m.LastReadSeq, &m.UnreadCount)...)
	ch.LastMessageAt, m.LastReadAt = timeOrNil(lastMessage), timeOrNil(lastRead)
	ch.MyMembership, ch.UnreadCount, ch.IsStarred = m, m.UnreadCount, m.IsStarred
	return err
}

type channelInList struct{ chat.Channel }

const mine = "SELECT " + channelColumns + ", " + membershipColumns + " FROM members m JOIN channels c ON c.id = m.channel_id "

// Channels lists the user's channels with one statement. See command.Store.
func (s *Store) Channels(ctx context.Context, user chat.UserID, includeArchived bool) (all []chat.Channel, err error) {
	err = s.db.Read(ctx, "channels", func(c conn) error {
		all = []chat.Channel{}
		return database.Query(c, "-- name: list_channels\n"+mine+`WHERE m.user_id = $1 AND (NOT c.is_archived OR $2)
			ORDER BY c.last_message_at DESC, c.created_at DESC, c.id`, func(r row) error {
			var ch channelInList
			err := scanMembership(r, &ch)
			all = append(all, ch.Channel)
			return err
		}, user, includeArchived)
	})
	return all, err
}

// Channel gives one channel. See command.Store.
func (s *Store) Channel(ctx context.Context, id chat.ID, viewer chat.UserID) (found *chat.Channel, err error) {
	err = s.db.Read(ctx, "channel", func(c conn) error {
		found, err = channelFor(c, id, viewer)
		return err
	})
	return found, err
}

func channelFor(c conn, id chat.ID, viewer chat.UserID) (found *chat.Channel, err error) {
	err = database.Query(c, "-- name: channel\n"+mine+"WHERE m.user_id = $1 AND m.channel_id = $2", func(r row) error {
		ch := new(channelInList)
		found = &ch.Channel
		return scanMembership(r, ch)
	}, viewer, id)
	if err != nil || found != nil {
		return found, err
	}
	err = database.Query(c, "-- name: public_channel\nSELECT "+channelColumns+" FROM channels c WHERE c.id = $1 AND NOT c.is_private", func(r row) error {
		ch, err := scanChannel(r)
		found = &ch.Channel
		return err
	}, id)
	if err == nil && found == nil {
		err = chat.ErrAccessDenied
	}
	return found, err
}

// DirectChannel finds the channel of a DirectKey. See command.Store.
func (s *Store) DirectChannel(ctx context.Context, key string, viewer chat.UserID) (found *chat.Channel, err error) {
	err = s.db.Read(ctx, "direct_channel", func(c conn) error {
		var id chat.ID
		err := database.Query(c, "-- name: direct_channel\nSELECT id FROM channels WHERE direct_key = $1", func(r row) error { return r.Scan(&id) }, key)
		if err != nil {
			return err
		}
		if id.IsZero() {
			return notFound("Channel")
		}
		found, err = channelFor(c, id, viewer)
		return err
	})
	return found, err
}

// like makes a pattern of what a user typed.
func like(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}

// Browse lists public channels. See command.Store.
func (s *Store) Browse(ctx context.Context, viewer chat.UserID, text string, limit int) (all []chat.Channel, err error) {
	err = s.db.Read(ctx, "browse", func(c conn) error {
		all = []chat.Channel{}
		return database.Query(c, "-- name: browse\nSELECT "+channelColumns+` FROM channels c
			WHERE NOT c.is_private AND NOT c.is_archived AND (lower(c.name) LIKE $1 ESCAPE '\' OR lower(COALESCE(c.topic, '')) LIKE $1 ESCAPE '\')
				AND NOT EXISTS (SELECT 1 FROM members m WHERE m.channel_id = c.id AND m.user_id = $2)
			ORDER BY c.member_count DESC, c.name, c.id LIMIT $3`, func(r row) error {
			ch, err := scanChannel(r)
			all = append(all, ch.Channel)
			return err
		}, "%"+like(text)+"%", viewer, limit)
	})
	return all, err
}

// SetMembership changes the user's own settings. See command.Store.
func (s *Store) SetMembership(ctx context.Context, channel chat.ID, user chat.UserID, p chat.MembershipPatch) error {
	return s.db.Write(ctx, "set_membership", func(c conn) error {
		if err := mustBeMember(c, channel, user); err != nil {
			return err
		}
		c.Queue(`-- name: set_membership
			UPDATE members SET is_starred = COALESCE($3, is_starred), is_muted = COALESCE($4, is_muted),
				notifications_enabled = COALESCE($5, notifications_enabled), notification_level = COALESCE($6, notification_level)
			WHERE channel_id = $1 AND user_id = $2`,
			[]any{channel, user, p.IsStarred, p.IsMuted, p.NotificationsEnabled, (*string)(p.NotificationLevel)}, nil)
		return nil
	})
}
