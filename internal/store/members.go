package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
)

// membershipColumns are a user's own view of their membership.
var membershipColumns = table.Columns[chat.Membership]{
	table.User("user_id", func(m *chat.Membership) *chat.UserID { return &m.UserID }),
	table.Text("role", func(m *chat.Membership) *string { return (*string)(&m.Role) }),
	table.Bool("is_starred", func(m *chat.Membership) *bool { return &m.IsStarred }),
	table.Bool("is_muted", func(m *chat.Membership) *bool { return &m.IsMuted }),
	table.Bool("notifications_enabled", func(m *chat.Membership) *bool { return &m.NotificationsEnabled }),
	table.Text("notification_level", func(m *chat.Membership) *string { return (*string)(&m.NotificationLevel) }),
	table.Time("joined_at", func(m *chat.Membership) *chat.Time { return &m.JoinedAt }),
	table.OptionalTime("last_read_at", func(m *chat.Membership) **chat.Time { return &m.LastReadAt }),
	table.Int64("last_read_seq", func(m *chat.Membership) *chat.Seq { return &m.LastReadSeq }),
}

// unreadCount counts the messages in channel c after the last one that member m has read,
// without deleted ones.
const unreadCount = `c.message_count - m.read_ordinal - (SELECT count(*) FROM messages d
	WHERE d.channel_id = m.channel_id AND d.ordinal > m.read_ordinal AND d.is_deleted)`

// memberColumns are the other members' view of a membership.
var memberColumns = table.Columns[chat.Member]{
	table.User("user_id", func(m *chat.Member) *chat.UserID { return &m.UserID }),
	table.Text("role", func(m *chat.Member) *string { return (*string)(&m.Role) }),
	table.Time("joined_at", func(m *chat.Member) *chat.Time { return &m.JoinedAt }),
	table.Int64("last_read_seq", func(m *chat.Member) *chat.Seq { return &m.LastReadSeq }),
}

var memberKey = table.Columns[state.Membership]{
	table.ID("channel_id", func(m *state.Membership) *chat.ID { return &m.ChannelID }),
	table.User("user_id", func(m *state.Membership) *chat.UserID { return &m.UserID }),
}

// addedColumns are those of a new member, who has read everything before they joined.
var addedColumns = table.Within(memberKey, func(w *state.MemberAdded) *state.Membership { return &w.Membership }).And(
	table.Text("role", func(w *state.MemberAdded) *string { return (*string)(&w.Role) }),
	table.Time("joined_at", func(w *state.MemberAdded) *chat.Time { return &w.At }),
	table.Int64("joined_seq", func(w *state.MemberAdded) *chat.Seq { return &w.JoinedSeq }),
	table.Int64("last_read_seq", func(w *state.MemberAdded) *chat.Seq { return &w.JoinedSeq }),
	table.Int64("read_ordinal", func(w *state.MemberAdded) *int64 { return &w.ReadOrdinal }),
	table.ComputedInt64("last_read_at", func(*state.MemberAdded) int64 { return 0 }))

var (
	insertMember = table.Insert("insert_member", "members", addedColumns, "")
	updateRole   = table.Update("update_role", "members",
		table.Within(memberKey, func(w *state.RoleChanged) *state.Membership { return &w.Membership }),
		table.Columns[state.RoleChanged]{
			table.Text("role", func(w *state.RoleChanged) *string { return (*string)(&w.Role) }),
		})
	deleteMember = table.Delete("delete_member", "members", memberKey)

	listMembers = "-- name: list_members\nSELECT " + memberColumns.List("m.") + ", " + refColumns + `,
			c.rights_seq, c.member_count
		FROM members m JOIN channels c ON c.id = m.channel_id LEFT JOIN users u ON u.id = m.user_id
		WHERE m.channel_id = $1 ORDER BY m.joined_at, m.user_id`
)

// SetMembership changes the user's own settings. See command.Store.
func (s *Store) SetMembership(
	ctx context.Context, channel chat.ID, user chat.UserID, p chat.MembershipPatch,
) error {
	return s.db.Write(ctx, "set_membership", func(c conn) error {
		if err := checkMember(c, channel, user); err != nil {
			return err
		}
		c.Queue(`-- name: set_membership
			UPDATE members SET is_starred = COALESCE($3, is_starred), is_muted = COALESCE($4, is_muted),
				notifications_enabled = COALESCE($5, notifications_enabled),
				notification_level = COALESCE($6, notification_level)
			WHERE channel_id = $1 AND user_id = $2`,
			[]any{channel, user, p.IsStarred, p.IsMuted, p.NotificationsEnabled, (*string)(p.NotificationLevel)}, nil)
		return nil
	})
}

// checkMember refuses a user who is not a member of the channel.
func checkMember(c conn, channel chat.ID, user chat.UserID) error {
	role := ""
	err := database.Query(c, "-- name: role_of_member\nSELECT role FROM members WHERE channel_id = $1 AND user_id = $2",
		func(r row) error { return r.Scan(&role) }, channel, user)
	if err == nil && role == "" {
		err = chat.ErrAccessDenied
	}
	return err
}
