package store

import (
	"fmt"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// storeEffects queues everything that a group stores: one round trip together with the COMMIT.
func storeEffects(c conn, d *dialect, e *state.Effects) {
	for _, w := range e.Writes {
		queueWrite(c, w)
	}
	if d.arrays {
		insertMessages(c, e.NewMessages)
		moveHeads(c, e.Heads)
	} else {
		insertEachMessage(c, e.NewMessages)
		moveEachHead(c, e.Heads)
	}
	for _, m := range e.Messages {
		updateMessage(c, m)
	}
	for _, n := range e.Entries {
		e := n.Entry
		c.Queue(`-- name: insert_change
			INSERT INTO changes (channel_id, seq, id, type, user_id, at, payload) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			[]any{e.ChannelID, e.Seq, n.ChangeID, string(e.Type), e.UserID, e.At, payloadOf(e)}, nil)
	}
}

// queueWrite queues a write that is rare enough for a statement of its own.
func queueWrite(c conn, write state.Write) {
	switch w := write.(type) {
	case state.ChannelCreated:
		insertChannel(c, w)
	case state.ChannelUpdated:
		c.Queue(`-- name: update_channel
			UPDATE channels SET name = $2, description = $3, topic = $4, is_archived = $5, updated_at = $6 WHERE id = $1`,
			[]any{
				w.Channel.ID, w.Channel.Name, w.Channel.Description, w.Channel.Topic, w.Channel.IsArchived, w.Channel.UpdatedAt,
			}, nil)
	case state.MemberAdded:
		c.Queue(`-- name: insert_member
			INSERT INTO members (channel_id, user_id, role, joined_at, last_read_at, last_read_seq, joined_seq, read_ordinal)
			VALUES ($1, $2, $3, $4, 0, $5, $5, $6)`,
			[]any{w.ChannelID, w.UserID, string(w.Role), w.At, w.JoinedSeq, w.ReadOrdinal}, nil)
	case state.RoleChanged:
		c.Queue("-- name: update_role\nUPDATE members SET role = $3 WHERE channel_id = $1 AND user_id = $2",
			[]any{w.ChannelID, w.UserID, string(w.Role)}, nil)
	case state.MemberRemoved:
		c.Queue("-- name: delete_member\nDELETE FROM members WHERE channel_id = $1 AND user_id = $2",
			[]any{w.ChannelID, w.UserID}, nil)
	case state.ReactionAdded:
		c.Queue(`-- name: insert_reaction
			INSERT INTO reactions (message_id, emoji, user_id, created_at) VALUES ($1, $2, $3, $4)`,
			[]any{w.MessageID, w.Emoji, w.UserID, w.At}, nil)
	case state.ReactionRemoved:
		c.Queue("-- name: delete_reaction\nDELETE FROM reactions WHERE message_id = $1 AND emoji = $2 AND user_id = $3",
			[]any{w.MessageID, w.Emoji, w.UserID}, nil)
	case state.ReactionsCleared:
		c.Queue("-- name: delete_reactions\nDELETE FROM reactions WHERE message_id = $1", []any{w.MessageID}, nil)
	default:
		panic(fmt.Sprintf("store: %T has no statement", write))
	}
}

func insertChannel(c conn, w state.ChannelCreated) {
	ch := w.Channel
	var direct *string
	if w.DirectKey != "" {
		direct = &w.DirectKey
	}
	c.Queue(`-- name: insert_channel
		INSERT INTO channels (id, name, description, channel_type, is_private, is_archived, created_by, tutor_id,
			subject, topic, direct_key, member_count, message_count, last_seq, last_message_at, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 0, $12, $13)`,
		[]any{
			ch.ID, ch.Name, ch.Description, string(ch.ChannelType), ch.IsPrivate, ch.IsArchived, ch.CreatedBy, ch.TutorID,
			ch.Subject, ch.Topic, direct, ch.CreatedAt, ch.UpdatedAt,
		}, nil)
}

func updateMessage(c conn, m *state.Message) {
	c.Queue(`-- name: update_message
		UPDATE messages SET content = $3, is_edited = $4, edited_at = $5, is_deleted = $6, deleted_at = $7,
			reaction_count = $8, thread_reply_count = $9, thread_last_reply_at = $10, updated_at = $11, file_url = $12,
			file_name = $13, file_type = $14, file_size = $15, mentions = $16
		WHERE channel_id = $1 AND seq = $2`, []any{
		m.ChannelID, m.Seq, m.Content, m.IsEdited, timeOr0(m.EditedAt), m.IsDeleted, timeOr0(m.DeletedAt),
		m.ReactionCount, m.ThreadReplyCount, timeOr0(m.ThreadLastReplyAt), m.UpdatedAt, m.FileURL,
		m.FileName, m.FileType, m.FileSize, mentionsText(&m.Message),
	}, nil)
}

func timeOr0(t *chat.Time) chat.Time {
	if t == nil {
		return 0
	}
	return *t
}

// mentionsText joins the users that a message mentions. No user id contains a comma.
func mentionsText(m *chat.Message) string {
	var b strings.Builder
	for i, u := range m.MentionedUserIDs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(u))
	}
	return b.String()
}

const messageInsert = `-- name: insert_messages
	INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, parent_id, mentions, client_id,
		body_hash, file_url, file_name, file_type, file_size, thread_reply_count, thread_last_reply_at, reaction_count,
		is_edited, edited_at, is_deleted, deleted_at, created_at, updated_at)`

// insertEachMessage inserts row by row, for SQLite.
func insertEachMessage(c conn, messages []*state.Message) {
	for _, m := range messages {
		c.Queue(messageInsert+` VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
			$19, $20, $21, $22, $23, $24)`, []any{
			m.ChannelID, m.Seq, m.ID, m.Ordinal, m.UserID, m.Content, string(m.MessageType), m.ParentMessageID,
			mentionsText(&m.Message), m.ClientID, m.BodyHash, m.FileURL, m.FileName, m.FileType, m.FileSize,
			m.ThreadReplyCount, timeOr0(m.ThreadLastReplyAt), m.ReactionCount, m.IsEdited, timeOr0(m.EditedAt),
			m.IsDeleted, timeOr0(m.DeletedAt), m.CreatedAt, m.UpdatedAt,
		}, nil)
	}
}

// insertMessages inserts all rows by one statement over arrays, for PostgreSQL.
func insertMessages(c conn, messages []*state.Message) {
	n := len(messages)
	if n == 0 {
		return
	}
	var (
		channels, ids                             = make([]chat.ID, n), make([]chat.ID, n)
		parents                                   = make([]*[16]byte, n)
		seqs, ordinals, hashes                    = make([]int64, n), make([]int64, n), make([]int64, n)
		replies, repliedAt, reactions             = make([]int64, n), make([]int64, n), make([]int64, n)
		editedAt, deletedAt, createdAt, updatedAt = make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
		edited, deleted                           = make([]bool, n), make([]bool, n)
		users                                     = make([]chat.UserID, n)
		contents, types, mentions, clients        = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		urls, names, kinds                        = make([]*string, n), make([]*string, n), make([]*string, n)
		sizes                                     = make([]*int64, n)
	)
	for i, m := range messages {
		channels[i], ids[i], parents[i] = m.ChannelID, m.ID, (*[16]byte)(m.ParentMessageID)
		seqs[i], ordinals[i], hashes[i], users[i] = m.Seq, m.Ordinal, m.BodyHash, m.UserID
		contents[i], types[i], clients[i] = m.Content, string(m.MessageType), m.ClientID
		mentions[i] = mentionsText(&m.Message)
		urls[i], names[i], kinds[i], sizes[i] = m.FileURL, m.FileName, m.FileType, m.FileSize
		replies[i], repliedAt[i] = m.ThreadReplyCount, int64(timeOr0(m.ThreadLastReplyAt))
		reactions[i] = m.ReactionCount
		edited[i], editedAt[i] = m.IsEdited, int64(timeOr0(m.EditedAt))
		deleted[i], deletedAt[i] = m.IsDeleted, int64(timeOr0(m.DeletedAt))
		createdAt[i], updatedAt[i] = int64(m.CreatedAt), int64(m.UpdatedAt)
	}
	c.Queue(messageInsert+` SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[],
		$6::text[], $7::text[], $8::uuid[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[], $14::text[],
		$15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::boolean[], $20::bigint[], $21::boolean[],
		$22::bigint[], $23::bigint[], $24::bigint[])`, []any{
		channels, seqs, ids, ordinals, users, contents, types, parents, mentions, clients, hashes, urls, names, kinds,
		sizes, replies, repliedAt, reactions, edited, editedAt, deleted, deletedAt, createdAt, updatedAt,
	}, nil)
}

// moveEachHead updates the channels' heads row by row, for SQLite.
func moveEachHead(c conn, heads []*state.Channel) {
	for _, ch := range heads {
		c.Queue(`-- name: move_head
			UPDATE channels SET last_seq = $2, message_count = $3, member_count = $4, last_message_at = $5,
				rights_seq = CASE WHEN $6 > 0 THEN $6 ELSE rights_seq END
			WHERE id = $1`,
			[]any{ch.ID, ch.LastSeq, ch.MessageCount, ch.MemberCount, timeOr0(ch.LastMessageAt), ch.RightsSeq}, nil)
	}
}

// moveHeads updates the channels' heads by one statement over arrays, for PostgreSQL.
func moveHeads(c conn, heads []*state.Channel) {
	n := len(heads)
	if n == 0 {
		return
	}
	ids, seqs, messages := make([]chat.ID, n), make([]int64, n), make([]int64, n)
	members, last, rights := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, ch := range heads {
		ids[i], seqs[i], messages[i] = ch.ID, ch.LastSeq, ch.MessageCount
		members[i], last[i], rights[i] = ch.MemberCount, int64(timeOr0(ch.LastMessageAt)), ch.RightsSeq
	}
	c.Queue(`-- name: move_heads
		UPDATE channels c SET last_seq = d.seq, message_count = d.messages, member_count = d.members,
			last_message_at = d.last, rights_seq = CASE WHEN d.rights > 0 THEN d.rights ELSE c.rights_seq END
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
			AS d(id, seq, messages, members, last, rights)
		WHERE c.id = d.id`, []any{ids, seqs, messages, members, last, rights}, nil)
}
