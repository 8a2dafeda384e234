package store

import (
	"context"
	"maps"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
)

var channelColumns = table.Columns[chat.Channel]{
	table.ID("id", func(c *chat.Channel) *chat.ID { return &c.ID }),
	table.Text("name", func(c *chat.Channel) *string { return &c.Name }),
	table.NullableText("description", func(c *chat.Channel) **string { return &c.Description }),
	table.Text("channel_type", func(c *chat.Channel) *string { return (*string)(&c.ChannelType) }),
	table.Bool("is_private", func(c *chat.Channel) *bool { return &c.IsPrivate }),
	table.Bool("is_archived", func(c *chat.Channel) *bool { return &c.IsArchived }),
	table.User("created_by", func(c *chat.Channel) *chat.UserID { return &c.CreatedBy }),
	table.NullableUser("tutor_id", func(c *chat.Channel) **chat.UserID { return &c.TutorID }),
	table.NullableText("subject", func(c *chat.Channel) **string { return &c.Subject }),
	table.NullableText("topic", func(c *chat.Channel) **string { return &c.Topic }),
	table.Int64("member_count", func(c *chat.Channel) *int64 { return &c.MemberCount }),
	table.Int64("message_count", func(c *chat.Channel) *int64 { return &c.MessageCount }),
	table.Int64("last_seq", func(c *chat.Channel) *chat.Seq { return &c.LastSeq }),
	table.OptionalTime("last_message_at", func(c *chat.Channel) **chat.Time { return &c.LastMessageAt }),
	table.Time("created_at", func(c *chat.Channel) *chat.Time { return &c.CreatedAt }),
	table.Time("updated_at", func(c *chat.Channel) *chat.Time { return &c.UpdatedAt }),
}

// createdColumns add the key by which a direct channel is found.
var createdColumns = table.Within(channelColumns,
	func(w *state.ChannelCreated) *chat.Channel { return &w.Channel }).And(
	table.OptionalText("direct_key", func(w *state.ChannelCreated) *string { return &w.DirectKey }))

// headColumns are those that change with every entry. rights_seq never goes back: a group
// in which no rights change stores 0.
var headColumns = table.Within(
	channelColumns.Pick("id", "last_seq", "message_count", "member_count", "last_message_at"),
	func(c *state.Channel) *chat.Channel { return &c.Channel }).And(
	table.Int64("rights_seq", func(c *state.Channel) *chat.Seq { return &c.RightsSeq }).KeepLarger())

var (
	insertChannel = table.Insert("insert_channel", "channels", createdColumns, "")
	updateChannel = table.Update("update_channel", "channels", channelColumns.Pick("id"),
		channelColumns.Pick("name", "description", "topic", "is_archived", "updated_at"))
	moveHeads = table.Update("move_heads", "channels", headColumns.Pick("id"), headColumns.Without("id"))

	// ownChannels selects the channels of members, with the membership and the direct key.
	ownChannels = "SELECT " + channelColumns.List("c.") + ", " + membershipColumns.List("m.") + ", " + unreadCount +
		", COALESCE(c.direct_key, '') FROM members m JOIN channels c ON c.id = m.channel_id"
	listChannels = "-- name: list_channels\n" + ownChannels + `
		WHERE m.user_id = $1 AND (NOT c.is_archived OR $2) ORDER BY c.last_message_at DESC, c.created_at DESC, c.id`
	selectChannel       = "-- name: channel\n" + ownChannels + " WHERE m.user_id = $1 AND m.channel_id = $2"
	selectPeers         = "-- name: direct_peers\nSELECT u.id, " + refColumns + " FROM users u " + usersByID
	selectPublicChannel = "-- name: public_channel\nSELECT " + channelColumns.List("c.") + `
		FROM channels c WHERE c.id = $1 AND NOT c.is_private`
	browseChannels = "-- name: browse\nSELECT " + channelColumns.List("c.") + ` FROM channels c
		WHERE NOT c.is_private AND NOT c.is_archived
			AND (lower(c.name) LIKE $1 ESCAPE '\' OR lower(COALESCE(c.topic, '')) LIKE $1 ESCAPE '\')
			AND NOT EXISTS (SELECT 1 FROM members m WHERE m.channel_id = c.id AND m.user_id = $2)
		ORDER BY c.member_count DESC, c.name, c.id LIMIT $3`
)

// scanOwnChannel scans a row of ownChannels. namePeers completes the channel.
func scanOwnChannel(r row, ch *chat.Channel) error {
	m, directKey := new(chat.Membership), ""
	err := channelColumns.Scan(r, ch, append(membershipColumns.Into(m), &m.UnreadCount, &directKey)...)
	ch.MyMembership, ch.UnreadCount, ch.IsStarred = m, m.UnreadCount, m.IsStarred
	if peer := state.DirectPeer(directKey, m.UserID); peer != "" {
		ch.DirectPeer = (&chat.User{ID: peer}).Ref(false)
	}
	return err
}

// namePeers loads the names and pictures of the other users of direct channels, in at most one statement.
func namePeers(c conn, channels []chat.Channel) error {
	peers := make(map[chat.UserID]*chat.UserRef)
	for _, ch := range channels {
		if ch.DirectPeer != nil {
			peers[ch.DirectPeer.ID] = ch.DirectPeer
		}
	}
	if len(peers) == 0 {
		return nil
	}
	ids := slices.Collect(maps.Keys(peers))
	return database.Query(c, selectPeers, func(r row) error {
		var u chat.User
		if err := r.Scan(&u.ID, &u.Name, &u.Picture); err != nil {
			return err
		}
		*peers[u.ID] = *u.Ref(false)
		return nil
	}, ids)
}

// Channels lists the user's channels. See command.Store.
func (s *Store) Channels(
	ctx context.Context, user chat.UserID, includeArchived bool,
) (all []chat.Channel, err error) {
	err = s.db.Read(ctx, "channels", func(c conn) error {
		all = []chat.Channel{}
		err := database.Query(c, listChannels, func(r row) error {
			all = append(all, chat.Channel{})
			return scanOwnChannel(r, &all[len(all)-1])
		}, user, includeArchived)
		if err != nil {
			return err
		}
		return namePeers(c, all)
	})
	return all, err
}

// Channel returns a public channel, or one that has the viewer as a member. See
// command.Store.
func (s *Store) Channel(ctx context.Context, id chat.ID, viewer chat.UserID) (found *chat.Channel, err error) {
	err = s.db.Read(ctx, "channel", func(c conn) error {
		found, err = findChannel(c, id, viewer)
		return err
	})
	return found, err
}

func findChannel(c conn, id chat.ID, viewer chat.UserID) (found *chat.Channel, err error) {
	err = database.Query(c, selectChannel, func(r row) error {
		found = new(chat.Channel)
		return scanOwnChannel(r, found)
	}, viewer, id)
	if err != nil {
		return nil, err
	}
	if found != nil {
		return found, namePeers(c, []chat.Channel{*found})
	}
	err = database.Query(c, selectPublicChannel, channelColumns.All(func(ch *chat.Channel) { found = ch }), id)
	if err == nil && found == nil {
		err = chat.ErrAccessDenied
	}
	return found, err
}

// DirectChannel finds the channel with a direct key. See command.Store.
func (s *Store) DirectChannel(
	ctx context.Context, key string, viewer chat.UserID,
) (found *chat.Channel, err error) {
	err = s.db.Read(ctx, "direct_channel", func(c conn) error {
		var id chat.ID
		err := database.Query(c, "-- name: direct_channel\nSELECT id FROM channels WHERE direct_key = $1",
			func(r row) error { return r.Scan(&id) }, key)
		if err != nil {
			return err
		}
		if id.IsZero() {
			return notFound("Channel")
		}
		found, err = findChannel(c, id, viewer)
		return err
	})
	return found, err
}

// Browse lists public channels that the viewer has not joined. See command.Store.
func (s *Store) Browse(
	ctx context.Context, viewer chat.UserID, text string, limit int,
) (all []chat.Channel, err error) {
	err = s.db.Read(ctx, "browse", func(c conn) error {
		all = []chat.Channel{}
		add := channelColumns.All(func(ch *chat.Channel) { all = append(all, *ch) })
		return database.Query(c, browseChannels, add, "%"+likePattern(text)+"%", viewer, limit)
	})
	return all, err
}
