package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// Journal accepts changes. Its methods return once the change is durable in the sense
// of the store's durability class. A refusal is in the outcome. With any other error
// the change was not accepted, or it is not known whether it was stored: the
// *chat.Error inside is overloaded or unavailable.
type Journal interface {
	Commit(ctx context.Context, c state.Change) (state.Outcome, error)
	Read(ctx context.Context, r state.Read) (state.ReadResult, error)
	// FlushReads makes durable how far the user has read by sending, so that the unread
	// counts that are read next are right.
	FlushReads(ctx context.Context, user chat.UserID) error
}

// Store answers queries. Every method is one unit of work, which includes checking the
// viewer's membership: a viewer who is not a member gets chat.ErrAccessDenied, and what
// does not exist for a member is a chat.NotFound error.
type Store interface {
	// Channels returns the user's channels, those with the latest activity first, each
	// with MyMembership.
	Channels(ctx context.Context, user chat.UserID, includeArchived bool) ([]chat.Channel, error)
	// Channel returns a channel with the viewer's membership. A public channel is
	// returned to other users too, with a nil MyMembership.
	Channel(ctx context.Context, id chat.ID, viewer chat.UserID) (*chat.Channel, error)
	// DirectChannel returns the channel of a state.DirectKey, or a chat.NotFound error.
	DirectChannel(ctx context.Context, key string, viewer chat.UserID) (*chat.Channel, error)
	// Browse returns at most limit public channels that are not archived and whose name
	// or topic contains query in any case, those with the most members first.
	Browse(ctx context.Context, viewer chat.UserID, query string, limit int) ([]chat.Channel, error)
	// Members returns a channel's members with their users, in the order in which they
	// joined.
	Members(ctx context.Context, channel chat.ID, viewer chat.UserID) ([]chat.Member, error)
	// SetMembership changes the user's own settings in a channel.
	SetMembership(ctx context.Context, channel chat.ID, user chat.UserID, p chat.MembershipPatch) error
	// History returns a page of messages with reactions and users, without deleted ones.
	History(ctx context.Context, q model.HistoryQuery) ([]chat.Message, error)
	// Message returns a message with reactions and user, even a deleted one, which has
	// no content.
	Message(ctx context.Context, channel, id chat.ID, viewer chat.UserID) (*chat.Message, error)
	// Users returns those of the users that exist, in any order.
	Users(ctx context.Context, ids []chat.UserID) ([]chat.User, error)
	// FindUsers returns at most limit active users whose name, email or id begins with
	// query, by name.
	FindUsers(ctx context.Context, query string, limit int) ([]chat.User, error)
	// SharesChannel returns those of the users who share a channel with viewer,
	// including viewer.
	SharesChannel(ctx context.Context, viewer chat.UserID, users []chat.UserID) ([]chat.UserID, error)
}

// Realtime reports who is connected. It reads memory only, never the database.
type Realtime interface {
	// Typing notifies the channel's listeners, except the user's own sockets.
	Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	// PublishReadReceipt notifies the channel's listeners of a receipt.
	PublishReadReceipt(r chat.ReadReceiptFrame)
	// Online returns those of the users who have an open socket; for nil, all users
	// who have one, at most 10,000.
	Online(users []chat.UserID) []chat.UserID
	// IsMember reports what this node has in memory of a connected user's membership. ok
	// is false if it has nothing.
	IsMember(channel chat.ID, user chat.UserID) (member, ok bool)
}

// Socket is what a command may do to the socket that sent it.
type Socket interface {
	// Join makes the socket receive the events of a channel of which its user is a
	// member, and returns the channel's last seq. Leave ends that.
	Join(ctx context.Context, channel chat.ID) (chat.Seq, error)
	Leave(channel chat.ID)
	// Resume makes the socket receive each channel's entries after the given seq, and
	// returns the range that it is served first. Channels whose cursor is not valid are
	// left out, and the socket receives an error for them.
	Resume(ctx context.Context, epoch string, cursors map[chat.ID]chat.Seq) (map[chat.ID]chat.SeqRange, error)
	// Watch makes the socket receive the presence of these users, instead of those it
	// watched before.
	Watch(users []chat.UserID)
}
