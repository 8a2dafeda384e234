package store

import (
	"strings"

	"github.com/chowk-chat/chowk/chat"
)

// write sends all that the group made: with the COMMIT behind it one round trip.
func (g *group) write(c conn, d *dialect) {
	for _, s := range g.writes {
		c.Queue(s.sql, s.args, nil)
	}
	var fresh, changed []*messageRow
	for _, m := range g.messages {
		switch {
		case m.isNew:
			fresh = append(fresh, m)
		case m.touched:
			changed = append(changed, m)
		}
	}
	if d.pairs == "" {
		g.writeEach(c, fresh)
	} else {
		g.writeArrays(c, fresh)
	}
	for _, m := range changed {
		c.Queue(`-- name: update_message
			UPDATE messages SET content = $3, is_edited = $4, edited_at = $5, is_deleted = $6, deleted_at = $7, reaction_count = $8,
				thread_reply_count = $9, thread_last_reply_at = $10, updated_at = $11, file_url = $12, file_name = $13, file_type = $14, file_size = $15, mentions = $16
			WHERE channel_id = $1 AND seq = $2`, []any{
			m.ChannelID, m.Seq, m.Content, m.IsEdited, timeOr0(m.EditedAt), m.IsDeleted, timeOr0(m.DeletedAt), m.ReactionCount,
			m.ThreadReplyCount, timeOr0(m.ThreadLastReplyAt), m.UpdatedAt, m.FileURL, m.FileName, m.FileType, m.FileSize, mentionsText(&m.Message),
		}, nil)
	}
	for i, ev := range g.newEvents {
		c.Queue("-- name: insert_change\nINSERT INTO changes (channel_id, seq, id, type, user_id, at, payload) VALUES ($1, $2, $3, $4, $5, $6, $7)",
			[]any{ev.ChannelID, ev.Seq, g.newIDs[i], string(ev.Type), ev.UserID, ev.At, payloadOf(ev)}, nil)
	}
}

func timeOr0(t *chat.Time) chat.Time {
	if t == nil {
		return 0
	}
	return *t
}

func mentionsText(m *chat.Message) string {
	var b strings.Builder
	for i, u := range m.MentionedUserIDs {
		if i > 0 {
			b.WriteByte(',') // no user id holds a comma
		}
		b.WriteString(string(u))
	}
	return b.String()
}

const messageInsert = `-- name: insert_messages
	INSERT INTO messages (channel_id, seq, id, ordinal, user_id, content, message_type, parent_id, mentions, client_id, body_hash,
	file_url, file_name, file_type, file_size, thread_reply_count, thread_last_reply_at, reaction_count, is_edited, edited_at, is_deleted, deleted_at, created_at, updated_at)`

// writeEach writes new messages and the channels' heads row by row: SQLite.
func (g *group) writeEach(c conn, fresh []*messageRow) {
	for _, m := range fresh {
		c.Queue(messageInsert+" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)", []any{
			m.ChannelID, m.Seq, m.ID, m.Ordinal, m.UserID, m.Content, string(m.MessageType), m.ParentMessageID, mentionsText(&m.Message), m.ClientID, m.bodyHash,
			m.FileURL, m.FileName, m.FileType, m.FileSize, m.ThreadReplyCount, timeOr0(m.ThreadLastReplyAt), m.ReactionCount, m.IsEdited, timeOr0(m.EditedAt),
			m.IsDeleted, timeOr0(m.DeletedAt), m.CreatedAt, m.UpdatedAt,
		}, nil)
	}
	for _, ch := range g.channels {
		if ch.touched {
			c.Queue("-- name: move_head\nUPDATE channels SET last_seq = $2, message_count = $3, member_count = $4, last_message_at = $5, rights_seq = CASE WHEN $6 > 0 THEN $6 ELSE rights_seq END WHERE id = $1",
				[]any{ch.ID, ch.LastSeq, ch.MessageCount, ch.MemberCount, timeOr0(ch.LastMessageAt), ch.rights}, nil)
		}
	}
}

// writeArrays writes them as two statements over arrays: PostgreSQL.
func (g *group) writeArrays(c conn, fresh []*messageRow) {
	if n := len(fresh); n > 0 {
		var (
			channels, ids                                                    = make([]chat.ID, n), make([]chat.ID, n)
			parents                                                          = make([]*[16]byte, n)
			seqs, ordinals, hashes                                           = make([]int64, n), make([]int64, n), make([]int64, n)
			replies, repliedAt, reactions, editedAt, deletedAt, created, upd = make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
			edited, deleted                                                  = make([]bool, n), make([]bool, n)
			users                                                            = make([]chat.UserID, n)
			contents, types, mentioned, clients                              = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
			urls, names, kinds                                               = make([]*string, n), make([]*string, n), make([]*string, n)
			sizes                                                            = make([]*int64, n)
		)
		for i, m := range fresh {
			channels[i], ids[i], parents[i], seqs[i], ordinals[i], hashes[i] = m.ChannelID, m.ID, (*[16]byte)(m.ParentMessageID), m.Seq, m.Ordinal, m.bodyHash
			users[i], contents[i], types[i], mentioned[i], clients[i] = m.UserID, m.Content, string(m.MessageType), mentionsText(&m.Message), m.ClientID
			urls[i], names[i], kinds[i], sizes[i] = m.FileURL, m.FileName, m.FileType, m.FileSize
			replies[i], repliedAt[i], reactions[i] = m.ThreadReplyCount, int64(timeOr0(m.ThreadLastReplyAt)), m.ReactionCount
			edited[i], editedAt[i], deleted[i], deletedAt[i] = m.IsEdited, int64(timeOr0(m.EditedAt)), m.IsDeleted, int64(timeOr0(m.DeletedAt))
			created[i], upd[i] = int64(m.CreatedAt), int64(m.UpdatedAt)
		}
		c.Queue(messageInsert+` SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::text[],
			$10::text[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::boolean[], $20::bigint[],
			$21::boolean[], $22::bigint[], $23::bigint[], $24::bigint[])`, []any{
			channels, seqs, ids, ordinals, users, contents, types, parents, mentioned, clients, hashes, urls, names, kinds, sizes,
			replies, repliedAt, reactions, edited, editedAt, deleted, deletedAt, created, upd,
		}, nil)
	}
	var ids []chat.ID
	var seqs, messages, members, last, rights []int64
	for _, ch := range g.channels {
		if ch.touched {
			ids, seqs, messages = append(ids, ch.ID), append(seqs, ch.LastSeq), append(messages, ch.MessageCount)
			members, last = append(members, ch.MemberCount), append(last, int64(timeOr0(ch.LastMessageAt)))
			rights = append(rights, ch.rights)
		}
	}
	if len(ids) > 0 {
		c.Queue(`-- name: move_heads
			UPDATE channels c SET last_seq = d.seq, message_count = d.messages, member_count = d.members, last_message_at = d.last,
				rights_seq = CASE WHEN d.rights > 0 THEN d.rights ELSE c.rights_seq END
			FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS d(id, seq, messages, members, last, rights) WHERE c.id = d.id`,
			[]any{ids, seqs, messages, members, last, rights}, nil)
	}
}
