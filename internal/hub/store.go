package hub

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
)

// Store is where the hub reads what it did not see happen. Calls made at the same
// time share statements.
type Store interface {
	// ChannelStates gives every unarchived and archived channel of the user with its head
	// and the user's unread count.
	ChannelStates(ctx context.Context, user chat.UserID) ([]chat.ChannelState, error)
	// Heads gives the last seq of each channel that exists.
	Heads(ctx context.Context, channels []chat.ID) (map[chat.ID]chat.Seq, error)
	// LogTo gives the channel's entries after a seq, in seq order without a hole, at
	// most limit. Messages come as they are now (a deleted one without content),
	// changes as they were made. The error is a chat.Resync when changes after that
	// seq were forgotten.
	// It goes at least to head, as far as limit allows, which is a seq that the
	// caller knows to be committed, or 0.
	LogTo(ctx context.Context, channel chat.ID, after chat.Seq, limit int, head chat.Seq) ([]chat.Entry, error)
}
