package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// Store reads what the hub did not see happen. Calls made at the same time share
// statements.
type Store interface {
	// ChannelStates returns every channel of the user, archived ones included, with its
	// head and the user's unread count.
	ChannelStates(ctx context.Context, user chat.UserID) ([]chat.ChannelState, error)
	// Heads returns the last seq of each channel that exists.
	Heads(ctx context.Context, channels []chat.ID) (map[chat.ID]chat.Seq, error)
	// LogTo returns the channel's entries after a seq, in seq order without a gap, at
	// most limit. Messages come as they are now (a deleted one without content),
	// changes as they were made. The error has the code chat.Resync when the log no
	// longer has all changes after that seq. The entries reach head at least, as far
	// as limit allows; head is a seq that is known to be committed, or 0.
	LogTo(ctx context.Context, channel chat.ID, after chat.Seq, limit int, head chat.Seq) ([]chat.Entry, error)
}
