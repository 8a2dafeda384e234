package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// DeleteUpTo forgets a channel's entries up to seq. It is for a channel that nobody reads
// again: whoever resumes from there would be told nothing of the hole.
func (s *Store) DeleteUpTo(ctx context.Context, channel chat.ID, seq chat.Seq) error {
	return s.db.Write(ctx, "trim", func(c conn) error {
		c.Queue("-- name: trim_messages\nDELETE FROM messages WHERE channel_id = $1 AND seq <= $2", []any{channel, seq}, nil)
		c.Queue("-- name: trim_changes\nDELETE FROM changes WHERE channel_id = $1 AND seq <= $2", []any{channel, seq}, nil)
		return c.Flush()
	})
}
