package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// readRow is what a read cursor is decided upon.
type readRow struct {
	seq, ordinal, head, messages int64
	newest                       chat.ID // the newest message at or before the cursor asked for
	newestSeq, newestOrdinal     int64
}

// CommitReads moves read cursors forward as one group. See journal.Store.
func (s *Store) CommitReads(ctx context.Context, reads []state.Read) (outcomes []state.ReadResult, err error) {
	order := make([]int, len(reads)) // rows are locked in one order everywhere
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(reads[a].ChannelID.Compare(reads[b].ChannelID), cmp.Compare(reads[a].UserID, reads[b].UserID))
	})
	var known, asked []int
	for _, i := range order {
		if reads[i].Ordinal > 0 {
			known = append(known, i)
		} else {
			asked = append(asked, i)
		}
	}
	err = s.db.Write(ctx, "commit_reads", func(c conn) error {
		outcomes = make([]state.ReadResult, len(reads))
		if s.dialect.arrays {
			moveKnownReads(c, reads, known)
			moveReads(c, reads, asked, outcomes)
			return nil
		}
		if db, ok := c.(database.Repeater); ok {
			moveOwnReads(db, reads, known)
		}
		return s.moveEach(c, reads, asked, outcomes)
	})
	s.readsMoved(reads)
	return outcomes, err
}

// moveEach moves cursors one after the other, where that costs no round trips.
func (s *Store) moveEach(c conn, reads []state.Read, index []int, outcomes []state.ReadResult) error {
	for _, i := range index {
		var state *readRow
		var named int64
		s.loadRead(c, &reads[i], &state, &named)
		if err := c.Flush(); err != nil {
			return err
		}
		s.newest(c, &reads[i], state, named, &outcomes[i])
		if err := c.Flush(); err != nil {
			return err
		}
		moveRead(c, &reads[i], state, &outcomes[i])
	}
	return c.Flush()
}

func (s *Store) loadRead(c conn, r *state.Read, into **readRow, named *int64) {
	c.Queue(`-- name: read_cursor
		SELECT m.last_read_seq, m.read_ordinal, c.last_seq, c.message_count FROM members m JOIN channels c ON c.id = m.channel_id
		WHERE m.channel_id = $1 AND m.user_id = $2`, []any{r.ChannelID, r.UserID}, func(row row) error {
		*into = new(readRow)
		return row.Scan(&(*into).seq, &(*into).ordinal, &(*into).head, &(*into).messages)
	})
	if !r.MessageID.IsZero() && r.Seq == 0 {
		c.Queue("-- name: read_named\nSELECT seq FROM messages WHERE id = $1 AND channel_id = $2", []any{r.MessageID, r.ChannelID}, func(row row) error { return row.Scan(named) })
	}
}

// newest finds the newest message up to where the reader has read.
func (s *Store) newest(c conn, r *state.Read, state *readRow, named int64, out *state.ReadResult) {
	to := r.Seq
	switch {
	case state == nil:
		out.Err = chat.ErrAccessDenied
		return
	case r.Seq == 0 && !r.MessageID.IsZero() && named == 0:
		out.Err = notFound("Message")
		return
	case r.Seq == 0 && r.MessageID.IsZero():
		to = state.head
	case r.Seq == 0:
		to = named
	}
	out.LastReadSeq = max(min(to, state.head), state.seq)
	out.Moved = out.LastReadSeq > state.seq
	c.Queue("-- name: read_newest\nSELECT id, seq, ordinal FROM messages WHERE channel_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1", []any{r.ChannelID, out.LastReadSeq}, func(row row) error {
		return row.Scan(&state.newest, &state.newestSeq, &state.newestOrdinal)
	})
}

func moveRead(c conn, r *state.Read, state *readRow, out *state.ReadResult) {
	if out.Err != nil {
		return
	}
	out.MessageID = state.newest
	ordinal := max(state.newestOrdinal, state.ordinal)
	if out.Moved {
		c.Queue("-- name: read_move\nUPDATE members SET last_read_seq = $3, read_ordinal = $4, last_read_at = $5 WHERE channel_id = $1 AND user_id = $2",
			[]any{r.ChannelID, r.UserID, out.LastReadSeq, ordinal, r.At}, nil)
	}
	c.Queue("-- name: read_deleted\nSELECT count(*) FROM messages WHERE channel_id = $1 AND ordinal > $2 AND is_deleted", []any{r.ChannelID, ordinal}, func(row row) error {
		var deleted int64
		err := row.Scan(&deleted)
		out.UnreadCount = state.messages - ordinal - deleted
		return err
	})
}
