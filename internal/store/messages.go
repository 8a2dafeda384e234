package store

import (
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/state"
)

var messageColumns = table.Columns[chat.Message]{
	table.ID("id", func(m *chat.Message) *chat.ID { return &m.ID }),
	table.ID("channel_id", func(m *chat.Message) *chat.ID { return &m.ChannelID }),
	table.Int64("seq", func(m *chat.Message) *chat.Seq { return &m.Seq }),
	table.Int64("ordinal", func(m *chat.Message) *int64 { return &m.Ordinal }),
	table.User("user_id", func(m *chat.Message) *chat.UserID { return &m.UserID }),
	table.Text("content", func(m *chat.Message) *string { return &m.Content }),
	table.Text("message_type", func(m *chat.Message) *string { return (*string)(&m.MessageType) }).
		Rare(func(m *chat.Message) bool { return m.MessageType == chat.Text }, "'text'"),
	table.NullableID("parent_id", func(m *chat.Message) **chat.ID { return &m.ParentMessageID }),
	table.Int64("thread_reply_count", func(m *chat.Message) *int64 { return &m.ThreadReplyCount }),
	table.OptionalTime("thread_last_reply_at", func(m *chat.Message) **chat.Time { return &m.ThreadLastReplyAt }),
	table.EncodedText("mentions", joinMentions, splitMentions).
		Rare(func(m *chat.Message) bool { return len(m.MentionedUserIDs) == 0 }, "''"),
	table.NullableText("file_url", func(m *chat.Message) **string { return &m.FileURL }).Rare(hasNoFile, ""),
	table.NullableText("file_name", func(m *chat.Message) **string { return &m.FileName }).Rare(hasNoFile, ""),
	table.NullableText("file_type", func(m *chat.Message) **string { return &m.FileType }).Rare(hasNoFile, ""),
	table.NullableInt64("file_size", func(m *chat.Message) **int64 { return &m.FileSize }).Rare(hasNoFile, ""),
	table.Bool("is_edited", func(m *chat.Message) *bool { return &m.IsEdited }),
	table.OptionalTime("edited_at", func(m *chat.Message) **chat.Time { return &m.EditedAt }),
	table.Bool("is_deleted", func(m *chat.Message) *bool { return &m.IsDeleted }),
	table.OptionalTime("deleted_at", func(m *chat.Message) **chat.Time { return &m.DeletedAt }),
	table.Bool("is_pinned", func(m *chat.Message) *bool { return &m.IsPinned }),
	table.Int64("reaction_count", func(m *chat.Message) *int64 { return &m.ReactionCount }),
	table.Time("created_at", func(m *chat.Message) *chat.Time { return &m.CreatedAt }),
	table.Time("updated_at", func(m *chat.Message) *chat.Time { return &m.UpdatedAt }),
	table.Text("client_id", func(m *chat.Message) *string { return &m.ClientID }),
}

func hasNoFile(m *chat.Message) bool { return m.FileInfo.IsZero() }

// joinMentions returns the users that a message mentions. No user id contains a comma.
func joinMentions(m *chat.Message) string {
	var b strings.Builder
	for i, u := range m.MentionedUserIDs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(u))
	}
	return b.String()
}

func splitMentions(m *chat.Message, stored string) error {
	if stored == "" {
		return nil
	}
	for u := range strings.SplitSeq(stored, ",") {
		m.MentionedUserIDs = append(m.MentionedUserIDs, chat.UserID(u))
	}
	return nil
}

// storedColumns add the hash by which a repeated send is recognised.
var storedColumns = table.Within(messageColumns, func(m *state.Message) *chat.Message { return &m.Message }).And(
	table.Int64("body_hash", func(m *state.Message) *int64 { return &m.BodyHash }))

// askedColumns are what the database needs to decide a new message, sentColumns are all
// that a plain send stores, as its change contains them. The message gets its seq and
// ordinal when it is stored.
var (
	askedColumns = table.Columns[state.Change]{
		table.ID("channel_id", func(c *state.Change) *chat.ID { return &c.ChannelID }),
		table.User("user_id", func(c *state.Change) *chat.UserID { return &c.Actor.User }),
		table.Time("created_at", func(c *state.Change) *chat.Time { return &c.At }),
	}
	sentColumns = askedColumns.And(
		table.ID("id", func(c *state.Change) *chat.ID { return &c.ID }),
		table.ComputedInt64("body_hash", func(c *state.Change) int64 { return state.BodyHash(c.Message) }),
	).And(table.Within(
		messageColumns.Pick(
			"content", "client_id", "message_type", "mentions", "file_url", "file_name", "file_type", "file_size"),
		func(c *state.Change) *chat.Message { return c.Message })...)
)

var (
	insertMessages = table.Insert("insert_messages", "messages", storedColumns, "")
	updateMessage  = table.Update("update_message", "messages", storedColumns.Pick("channel_id", "seq"),
		storedColumns.Without("channel_id", "seq", "id", "ordinal", "user_id", "parent_id", "message_type", "client_id",
			"body_hash", "created_at"))
)

// authoredMessages selects messages with what is shown of their authors.
var authoredMessages = "SELECT " + messageColumns.List("m.") + ", " + refColumns + `
	FROM messages m LEFT JOIN users u ON u.id = m.user_id `

// scanAuthored scans a row of authoredMessages.
func scanAuthored(r row, m *chat.Message) error {
	var u chat.User
	err := messageColumns.Scan(r, m, &u.Name, &u.Picture)
	u.ID, m.Reactions = m.UserID, []chat.Reaction{}
	m.User = u.Ref(false)
	return err
}
