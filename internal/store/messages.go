package store

import (
	"context"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

const messageColumns = `m.id, m.channel_id, m.seq, m.ordinal, m.user_id, m.content, m.message_type, m.parent_id, m.thread_reply_count, m.thread_last_reply_at,
	m.mentions, m.file_url, m.file_name, m.file_type, m.file_size, m.is_edited, m.edited_at, m.is_deleted, m.deleted_at, m.is_pinned, m.reaction_count,
	m.created_at, m.updated_at, m.client_id`

// scanMessage reads messageColumns and what follows them.
func scanMessage(r row, m *chat.Message, after ...any) error {
	var mentioned string
	var replied, edited, deleted chat.Time
	err := r.Scan(append([]any{
		&m.ID, &m.ChannelID, &m.Seq, &m.Ordinal, &m.UserID, &m.Content, (*string)(&m.MessageType), &m.ParentMessageID, &m.ThreadReplyCount, &replied,
		&mentioned, &m.FileURL, &m.FileName, &m.FileType, &m.FileSize, &m.IsEdited, &edited, &m.IsDeleted, &deleted, &m.IsPinned, &m.ReactionCount,
		&m.CreatedAt, &m.UpdatedAt, &m.ClientID,
	}, after...)...)
	if mentioned != "" {
		for u := range strings.SplitSeq(mentioned, ",") {
			m.MentionedUserIDs = append(m.MentionedUserIDs, chat.UserID(u))
		}
	}
	m.ThreadLastReplyAt, m.EditedAt, m.DeletedAt = timeOrNil(replied), timeOrNil(edited), timeOrNil(deleted)
	m.Reactions = []chat.Reaction{}
	return err
}

func timeOrNil(t chat.Time) *chat.Time {
	if t == 0 {
		return nil
	}
	return &t
}

// authored are the columns of a message and of what is shown of its author.
const authored = messageColumns + `, COALESCE(u.name, ''), u.picture FROM messages m LEFT JOIN users u ON u.id = m.user_id `

func scanAuthored(r row, m *chat.Message) error {
	var u chat.User
	err := scanMessage(r, m, &u.Name, &u.Picture)
	u.ID = m.UserID
	m.User = u.Ref(false)
	return err
}

// History gives a page of messages, newest first. See command.Store. Whether the
// viewer may see it, and how far the channel goes, only the primary says; the page
// may come from a replica that has come as far.
func (s *Store) History(ctx context.Context, q model.HistoryQuery) (page []chat.Message, err error) {
	if s.db.Replicas() == 0 {
		err = s.db.Read(ctx, "history", func(c conn) error {
			if err := mustBeMember(c, q.ChannelID, q.Viewer); err != nil {
				return err
			}
			page, err = historyPage(c, q)
			return err
		})
		return page, err
	}
	head := chat.Seq(-1)
	err = s.db.Read(ctx, "history_right", func(c conn) error {
		return database.Query(c, `-- name: head_for_member
			SELECT c.last_seq FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.channel_id = $1 AND m.user_id = $2`,
			func(r row) error { return r.Scan(&head) }, q.ChannelID, q.Viewer)
	})
	if err == nil && head < 0 {
		err = chat.ErrAccessDenied
	}
	if err != nil {
		return nil, err
	}
	err = s.readAt(ctx, "history", q.ChannelID, head, func(c conn) error {
		page, err = historyPage(c, q)
		return err
	})
	return page, err
}

func historyPage(c conn, q model.HistoryQuery) (page []chat.Message, err error) {
	page = []chat.Message{}
	sql, args := historyQuery(q)
	if !q.BeforeID.IsZero() {
		seq, err := seqOf(c, q.ChannelID, q.BeforeID)
		if err != nil {
			return nil, err
		}
		args = append(args, seq)
	}
	err = database.Query(c, sql, func(r row) error {
		page = append(page, chat.Message{})
		return scanAuthored(r, &page[len(page)-1])
	}, args...)
	if err != nil {
		return nil, err
	}
	if q.AfterSeq > 0 {
		slices.Reverse(page)
	}
	return page, addReactions(c, page)
}

// historyQuery builds the page's statement. Paging is by seq, which is the order
// of the channel: neither random ids nor equal times can make it skip anything.
func historyQuery(q model.HistoryQuery) (sql string, args []any) {
	where, order := "m.channel_id = $1 AND NOT m.is_deleted", "DESC"
	args = []any{q.ChannelID, q.Limit}
	next := func(condition string, arg any) {
		args = append(args, arg)
		where += strings.ReplaceAll(condition, "?", "$"+string(rune('0'+len(args))))
	}
	if !q.ParentID.IsZero() {
		next(" AND m.parent_id = ?", q.ParentID)
	}
	switch {
	case !q.BeforeID.IsZero():
		where += " AND m.seq < $" + string(rune('0'+len(args)+1))
	case q.BeforeTime != 0:
		next(" AND m.created_at < ?", q.BeforeTime)
	case q.AfterSeq > 0:
		next(" AND m.seq > ?", q.AfterSeq)
		order = "ASC"
	}
	return "-- name: history\nSELECT " + authored + "WHERE " + where + " ORDER BY m.seq " + order + " LIMIT $2", args
}

func seqOf(c conn, channel, message chat.ID) (seq chat.Seq, err error) {
	err = database.Query(c, "-- name: seq_of_message\nSELECT seq FROM messages WHERE id = $1 AND channel_id = $2", func(r row) error { return r.Scan(&seq) }, message, channel)
	if err == nil && seq == 0 {
		err = notFound("Message")
	}
	return seq, err
}

// addReactions fills in the reactions of a page with one statement.
func addReactions(c conn, page []chat.Message) error {
	at := make(map[chat.ID]int)
	var ids []chat.ID
	for i := range page {
		if page[i].ReactionCount > 0 {
			at[page[i].ID] = i
			ids = append(ids, page[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return database.Query(c, "-- name: list_reactions\nSELECT message_id, emoji, user_id, created_at FROM reactions WHERE message_id = ANY($1) ORDER BY created_at, user_id", func(r row) error {
		var id chat.ID
		var re chat.Reaction
		err := r.Scan(&id, &re.Emoji, &re.UserID, &re.CreatedAt)
		m := &page[at[id]]
		m.Reactions = append(m.Reactions, re)
		return err
	}, ids)
}

// Message gives one message. See command.Store.
func (s *Store) Message(ctx context.Context, channel, id chat.ID, viewer chat.UserID) (m *chat.Message, err error) {
	err = s.db.Read(ctx, "message", func(c conn) error {
		if err := mustBeMember(c, channel, viewer); err != nil {
			return err
		}
		var page []chat.Message
		err := database.Query(c, "-- name: message\nSELECT "+authored+"WHERE m.id = $1 AND m.channel_id = $2", func(r row) error {
			page = append(page, chat.Message{})
			return scanAuthored(r, &page[0])
		}, id, channel)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return notFound("Message")
		}
		m = &page[0]
		return addReactions(c, page)
	})
	return m, err
}

// mustBeMember refuses whoever is no member of the channel.
func mustBeMember(c conn, channel chat.ID, user chat.UserID) error {
	role := ""
	err := database.Query(c, "-- name: role_of_member\nSELECT role FROM members WHERE channel_id = $1 AND user_id = $2", func(r row) error { return r.Scan(&role) }, channel, user)
	if err == nil && role == "" {
		err = chat.ErrAccessDenied
	}
	return err
}
