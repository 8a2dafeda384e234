package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
)

// errForgotten: the log does not reach back that far.
var errForgotten = chat.Errorf(chat.Resync, "The server keeps no changes from so long ago. Load these channels again.")

// ForgetChanges deletes at most limit of the entries older than before that are
// not messages: edits, deletions, reactions, memberships and updates, which those
// who resume from before them must load anew. It returns how many it deleted.
func (s *Store) ForgetChanges(ctx context.Context, before chat.Time, limit int) (n int, err error) {
	err = s.db.Write(ctx, "forget_changes", func(c conn) error {
		n = 0
		floors := make(map[chat.ID]chat.Seq)
		err := database.Query(c, `-- name: old_changes
			SELECT channel_id, seq FROM changes WHERE at < $1 ORDER BY at LIMIT $2`, func(r row) error {
			var id chat.ID
			var seq chat.Seq
			err := r.Scan(&id, &seq)
			floors[id] = max(floors[id], seq)
			return err
		}, before, limit)
		if err != nil || len(floors) == 0 {
			return err
		}
		if err := s.raiseRetentionFloors(c, floors); err != nil {
			return fmt.Errorf("raise the floor of the log: %w", err)
		}
		for id, floor := range floors {
			c.Queue(`-- name: forget_changes
				DELETE FROM changes WHERE channel_id = $1 AND seq <= $2 AND at < $3 RETURNING seq`, []any{id, floor, before}, func(row) error {
				n++
				return nil
			})
		}
		return c.Flush()
	})
	return n, err
}

// raiseRetentionFloors notes up to where entries may be missing from now on.
func (s *Store) raiseRetentionFloors(c conn, floors map[chat.ID]chat.Seq) error {
	ids := make([]chat.ID, 0, len(floors))
	for id := range floors {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, chat.ID.Compare) // rows are locked in one order everywhere
	c.Queue("-- name: lock_channels\nSELECT id FROM channels WHERE id = ANY($1)"+s.dialect.lockChannels, []any{ids}, func(row) error { return nil })
	for _, id := range ids {
		c.Queue("-- name: raise_log_floor\nUPDATE channels SET log_floor = $2 WHERE id = $1 AND log_floor < $2", []any{id, floors[id]}, nil)
	}
	return c.Flush()
}
