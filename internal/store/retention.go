package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// errForgotten means that the log does not reach back that far.
var errForgotten = chat.Errorf(chat.Resync, "These changes are too old to resume from. Reload these channels.")

// ForgetChanges deletes at most limit entries from before a time that are not messages:
// edits, deletions, reactions, memberships and updates. Clients that resume from before
// them must load the channel again. It returns how many it deleted.
func (s *Store) ForgetChanges(ctx context.Context, before chat.Time, limit int) (n int, err error) {
	err = s.db.Write(ctx, "forget_changes", func(c conn) error {
		n = 0
		floors, err := oldChanges(c, before, limit)
		if err != nil || len(floors) == 0 {
			return err
		}
		if err := s.raiseRetentionFloors(c, floors); err != nil {
			return fmt.Errorf("raise the floor of the log: %w", err)
		}
		for id, floor := range floors {
			c.Queue(`-- name: forget_changes
				DELETE FROM changes WHERE channel_id = $1 AND seq <= $2 AND at < $3 RETURNING seq`,
				[]any{id, floor, before}, func(row) error { n++; return nil })
		}
		return c.Flush()
	})
	return n, err
}

// oldChanges returns, for each channel, the last seq of its oldest changes.
func oldChanges(c conn, before chat.Time, limit int) (map[chat.ID]chat.Seq, error) {
	floors := make(map[chat.ID]chat.Seq)
	err := database.Query(c, `-- name: old_changes
		SELECT channel_id, seq FROM changes WHERE at < $1 ORDER BY at LIMIT $2`,
		scanHead(func(id chat.ID, seq chat.Seq) { floors[id] = max(floors[id], seq) }), before, limit)
	return floors, err
}

// raiseRetentionFloors records up to where entries may be missing from now on.
func (s *Store) raiseRetentionFloors(c conn, floors map[chat.ID]chat.Seq) error {
	ids := slices.SortedFunc(maps.Keys(floors), chat.ID.Compare) // the order in which rows are locked everywhere
	c.Queue("-- name: lock_channels\nSELECT id FROM channels WHERE id = ANY($1)"+s.dialect.lockChannels, []any{ids},
		func(row) error { return nil })
	for _, id := range ids {
		c.Queue("-- name: raise_log_floor\nUPDATE channels SET log_floor = $2 WHERE id = $1 AND log_floor < $2",
			[]any{id, floors[id]}, nil)
	}
	return c.Flush()
}

// DeleteUpTo deletes a channel's entries up to a seq. It is for a channel from which no
// client resumes: it would not learn of the gap.
func (s *Store) DeleteUpTo(ctx context.Context, channel chat.ID, seq chat.Seq) error {
	return s.db.Write(ctx, "delete_up_to", func(c conn) error {
		upTo := []any{channel, seq}
		c.Queue("-- name: delete_messages\nDELETE FROM messages WHERE channel_id = $1 AND seq <= $2", upTo, nil)
		c.Queue("-- name: delete_changes\nDELETE FROM changes WHERE channel_id = $1 AND seq <= $2", upTo, nil)
		return c.Flush()
	})
}
