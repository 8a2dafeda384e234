package store

import (
	"context"
	"slices"
	"strconv"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// History returns a page of messages, newest first. See command.Store. Only the primary
// decides whether the viewer may see it and how far the channel goes. The page may come
// from a replica that has come as far.
func (s *Store) History(ctx context.Context, q model.HistoryQuery) (page []chat.Message, err error) {
	if s.db.Replicas() == 0 {
		err = s.db.Read(ctx, "history", func(c conn) error {
			if err := checkMember(c, q.ChannelID, q.Viewer); err != nil {
				return err
			}
			page, err = historyPage(c, q)
			return err
		})
		return page, err
	}
	head, err := s.headForMember(ctx, q.ChannelID, q.Viewer)
	if err != nil {
		return nil, err
	}
	err = s.readAt(ctx, "history", q.ChannelID, head, func(c conn) error {
		page, err = historyPage(c, q)
		return err
	})
	return page, err
}

// headForMember returns the channel's last seq to one of its members.
func (s *Store) headForMember(ctx context.Context, channel chat.ID, viewer chat.UserID) (chat.Seq, error) {
	head := chat.Seq(-1)
	err := s.db.Read(ctx, "history_right", func(c conn) error {
		return database.Query(c, `-- name: head_for_member
			SELECT c.last_seq FROM members m JOIN channels c ON c.id = m.channel_id
			WHERE m.channel_id = $1 AND m.user_id = $2`,
			func(r row) error { return r.Scan(&head) }, channel, viewer)
	})
	if err == nil && head < 0 {
		err = chat.ErrAccessDenied
	}
	return head, err
}

func historyPage(c conn, q model.HistoryQuery) (page []chat.Message, err error) {
	page = []chat.Message{}
	before := chat.Seq(0)
	if !q.BeforeID.IsZero() {
		if before, err = seqOfMessage(c, q.ChannelID, q.BeforeID); err != nil {
			return nil, err
		}
	}
	sql, args := historyQuery(q, before)
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

// historyQuery returns the page's statement. Pages are by seq, which is the order of the
// channel, so that neither random ids nor equal times can make a page skip a message.
// before is the seq of q.BeforeID.
func historyQuery(q model.HistoryQuery, before chat.Seq) (sql string, args []any) {
	where, order := "m.channel_id = $1 AND NOT m.is_deleted", "DESC"
	args = []any{q.ChannelID, q.Limit}
	compare := func(column string, arg any) {
		args = append(args, arg)
		where += " AND " + column + " $" + strconv.Itoa(len(args))
	}
	if !q.ParentID.IsZero() {
		compare("m.parent_id =", q.ParentID)
	}
	if q.Pinned {
		where += " AND m.is_pinned"
	}
	switch {
	case !q.BeforeID.IsZero():
		compare("m.seq <", before)
	case q.BeforeTime != 0:
		compare("m.created_at <", q.BeforeTime)
	case q.AfterSeq > 0:
		compare("m.seq >", q.AfterSeq)
		order = "ASC"
	}
	return "-- name: history\n" + authoredMessages + "WHERE " + where + " ORDER BY m.seq " + order + " LIMIT $2", args
}

func seqOfMessage(c conn, channel, message chat.ID) (seq chat.Seq, err error) {
	err = database.Query(c, "-- name: seq_of_message\nSELECT seq FROM messages WHERE id = $1 AND channel_id = $2",
		func(r row) error { return r.Scan(&seq) }, message, channel)
	if err == nil && seq == 0 {
		err = notFound("Message")
	}
	return seq, err
}

var selectMessage = "-- name: message\n" + authoredMessages + "WHERE m.id = $1 AND m.channel_id = $2"

// Message returns one message. See command.Store.
func (s *Store) Message(ctx context.Context, channel, id chat.ID, viewer chat.UserID) (m *chat.Message, err error) {
	err = s.db.Read(ctx, "message", func(c conn) error {
		if err := checkMember(c, channel, viewer); err != nil {
			return err
		}
		page := make([]chat.Message, 0, 1)
		err := database.Query(c, selectMessage, func(r row) error {
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
