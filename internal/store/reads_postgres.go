package store

import (
	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// On PostgreSQL statements over arrays save round trips. A cursor is moved by one UPDATE,
// which sees the newest version of the row, so it never moves backwards, whatever another
// node does to it meanwhile. The arrays are sorted, so the rows are locked in the order in
// which they are locked everywhere.

const readOwnSQL = `-- name: read_own
	UPDATE members m SET last_read_seq = d.seq, read_ordinal = d.ordinal, last_read_at = d.at
	FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
		AS d(channel_id, user_id, seq, ordinal, at)
	WHERE m.channel_id = d.channel_id AND m.user_id = d.user_id AND m.last_read_seq < d.seq`

// readMoveSQL moves each cursor to a seq, to the message named, or else to the head, and
// returns where it is then.
const readMoveSQL = `-- name: read_move
	WITH d AS (
		SELECT a.n, a.channel_id, a.user_id, a.at, a.named, a.to_seq, c.message_count, m.read_ordinal,
			GREATEST(LEAST(a.to_seq, c.last_seq), m.last_read_seq) AS seq
		FROM (
			SELECT n, channel_id, user_id, at, named, CASE
				WHEN a.seq > 0 THEN a.seq
				WHEN named IS NULL THEN 9223372036854775807
				ELSE (SELECT x.seq FROM messages x WHERE x.id = a.named AND x.channel_id = a.channel_id) END AS to_seq
			FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::uuid[], $5::bigint[])
				WITH ORDINALITY AS a(channel_id, user_id, seq, named, at, n)
		) AS a
		JOIN members m ON m.channel_id = a.channel_id AND m.user_id = a.user_id
		JOIN channels c ON c.id = a.channel_id
		ORDER BY a.n
	), found AS (
		SELECT d.*, newest.id, GREATEST(newest.ordinal, d.read_ordinal) AS ordinal FROM d
		LEFT JOIN LATERAL (
			SELECT x.id, x.ordinal FROM messages x
			WHERE x.channel_id = d.channel_id AND x.seq <= d.seq ORDER BY x.seq DESC LIMIT 1
		) AS newest ON true
	), upd AS (
		UPDATE members m SET last_read_seq = found.seq, read_ordinal = found.ordinal, last_read_at = found.at
		FROM found
		WHERE m.channel_id = found.channel_id AND m.user_id = found.user_id AND m.last_read_seq < found.seq
			AND found.to_seq IS NOT NULL
		RETURNING found.n
	)
	SELECT found.n, found.to_seq IS NOT NULL, found.seq, found.id, upd.n IS NOT NULL,
		found.message_count - found.ordinal - (SELECT count(*) FROM messages x
			WHERE x.channel_id = found.channel_id AND x.ordinal > found.ordinal AND x.is_deleted)
	FROM found LEFT JOIN upd ON upd.n = found.n`

// moveReadsTogether moves all cursors with two statements.
func moveReadsTogether(c conn, reads []state.Read, own, asked []int, outcomes []state.ReadResult) error {
	moveOwnReads(c, reads, own)
	moveAskedReads(c, reads, asked, outcomes)
	return c.Flush()
}

func moveOwnReads(c conn, reads []state.Read, index []int) {
	if len(index) == 0 {
		return
	}
	channels, users, at := readKeys(reads, index)
	seqs, ordinals := make([]int64, len(index)), make([]int64, len(index))
	for k, i := range index {
		seqs[k], ordinals[k] = reads[i].Seq, reads[i].Ordinal
	}
	c.Queue(readOwnSQL, []any{channels, users, seqs, ordinals, at}, nil)
}

func moveAskedReads(c conn, reads []state.Read, index []int, outcomes []state.ReadResult) {
	if len(index) == 0 {
		return
	}
	channels, users, at := readKeys(reads, index)
	seqs, named := make([]int64, len(index)), make([]*chat.ID, len(index))
	for k, i := range index {
		r := &reads[i]
		if seqs[k] = r.Seq; r.Seq == 0 && !r.MessageID.IsZero() {
			named[k] = &r.MessageID
		}
		outcomes[i].Err = chat.ErrAccessDenied // unless a row is returned
	}
	c.Queue(readMoveSQL, []any{channels, users, seqs, named, at}, func(r row) error {
		var n int64
		var exists bool
		var out state.ReadResult
		var newest *chat.ID
		if err := r.Scan(&n, &exists, &out.LastReadSeq, &newest, &out.Moved, &out.UnreadCount); err != nil {
			return err
		}
		switch {
		case !exists:
			out = state.ReadResult{Err: notFound("Message")}
		case newest != nil:
			out.MessageID = *newest
		}
		outcomes[index[n-1]] = out
		return nil
	})
}

func readKeys(reads []state.Read, index []int) (channels []chat.ID, users []chat.UserID, at []chat.Time) {
	channels, users = make([]chat.ID, len(index)), make([]chat.UserID, len(index))
	at = make([]chat.Time, len(index))
	for k, i := range index {
		channels[k], users[k], at[k] = reads[i].ChannelID, reads[i].UserID, reads[i].At
	}
	return channels, users, at
}
