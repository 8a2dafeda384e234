package store

import (
	"errors"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

var errNoRepeater = errors.New("the connection cannot repeat a statement")

// moveEachRead moves cursors one by one: on SQLite there is no round trip to save.
func moveEachRead(c conn, reads []state.Read, own, asked []int, outcomes []state.ReadResult) error {
	r, ok := c.(database.Repeater)
	if !ok {
		return errNoRepeater
	}
	moveEachOwnRead(r, reads, own)
	for _, i := range asked {
		m := readMove{read: &reads[i], out: &outcomes[i]}
		if err := m.run(c); err != nil {
			return err
		}
	}
	return c.Flush()
}

// moveEachOwnRead moves the cursors of users who have just sent a message to it.
func moveEachOwnRead(c database.Repeater, reads []state.Read, index []int) {
	c.Repeat(`-- name: read_own
		UPDATE members SET last_read_seq = ?3, read_ordinal = ?4, last_read_at = ?5
		WHERE channel_id = ?1 AND user_id = ?2 AND last_read_seq < ?3`, len(index),
		func(q database.Binder, i int) {
			r := &reads[index[i]]
			q.Bytes(1, r.ChannelID[:])
			q.Text(2, string(r.UserID))
			q.Int64(3, r.Seq)
			q.Int64(4, r.Ordinal)
			q.Int64(5, int64(r.At))
		}, nil)
}

// readMove moves one cursor.
type readMove struct {
	read *state.Read
	out  *state.ReadResult

	member                       bool
	seq, ordinal, head, messages int64 // of the cursor and its channel
	named                        int64 // seq of the message that the read names
	newestOrdinal                int64 // of the newest message at or before the new cursor
}

func (m *readMove) run(c conn) error {
	m.load(c)
	if err := c.Flush(); err != nil || !m.decide() {
		return err
	}
	c.Queue(`-- name: read_newest
		SELECT id, ordinal FROM messages WHERE channel_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1`,
		[]any{m.read.ChannelID, m.out.LastReadSeq},
		func(r row) error { return r.Scan(&m.out.MessageID, &m.newestOrdinal) })
	if err := c.Flush(); err != nil {
		return err
	}
	m.store(c)
	return c.Flush()
}

func (m *readMove) load(c conn) {
	c.Queue(`-- name: read_cursor
		SELECT m.last_read_seq, m.read_ordinal, c.last_seq, c.message_count
		FROM members m JOIN channels c ON c.id = m.channel_id WHERE m.channel_id = $1 AND m.user_id = $2`,
		[]any{m.read.ChannelID, m.read.UserID}, func(r row) error {
			m.member = true
			return r.Scan(&m.seq, &m.ordinal, &m.head, &m.messages)
		})
	if m.read.Seq == 0 && !m.read.MessageID.IsZero() {
		c.Queue("-- name: read_named\nSELECT seq FROM messages WHERE id = $1 AND channel_id = $2",
			[]any{m.read.MessageID, m.read.ChannelID}, func(r row) error { return r.Scan(&m.named) })
	}
}

// decide sets where the cursor moves, and reports whether it may.
func (m *readMove) decide() bool {
	to := m.read.Seq
	switch {
	case !m.member:
		m.out.Err = chat.ErrAccessDenied
		return false
	case m.read.Seq == 0 && m.read.MessageID.IsZero():
		to = m.head
	case m.read.Seq == 0 && m.named == 0:
		m.out.Err = notFound("Message")
		return false
	case m.read.Seq == 0:
		to = m.named
	}
	m.out.LastReadSeq = max(min(to, m.head), m.seq)
	m.out.Moved = m.out.LastReadSeq > m.seq
	return true
}

func (m *readMove) store(c conn) {
	ordinal := max(m.newestOrdinal, m.ordinal)
	if m.out.Moved {
		c.Queue(`-- name: read_move
			UPDATE members SET last_read_seq = $3, read_ordinal = $4, last_read_at = $5
			WHERE channel_id = $1 AND user_id = $2`,
			[]any{m.read.ChannelID, m.read.UserID, m.out.LastReadSeq, ordinal, m.read.At}, nil)
	}
	c.Queue("-- name: read_deleted\nSELECT count(*) FROM messages WHERE channel_id = $1 AND ordinal > $2 AND is_deleted",
		[]any{m.read.ChannelID, ordinal}, func(r row) error {
			var deleted int64
			err := r.Scan(&deleted)
			m.out.UnreadCount = m.messages - ordinal - deleted
			return err
		})
}
