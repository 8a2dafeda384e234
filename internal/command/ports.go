package command

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// Journal is the one way in for changes. Its methods return when the change is
// durable in the sense of the store's durability class; an error that is not a
// refusal in the outcome means that what became of the change is unknown or that
// it was never taken: the *chat.Error inside says overloaded or unavailable.
type Journal interface {
	Commit(ctx context.Context, c state.Change) (state.Outcome, error)
	Read(ctx context.Context, r state.Read) (state.ReadResult, error)
	// FlushReads makes durable what the user's own sends have read, so that unread
	// counts read next are right.
	FlushReads(ctx context.Context, user chat.UserID) error
}

// Store answers questions. Every method is one unit of work, and looks at the
// viewer's membership in it: whoever is not a member gets chat.ErrAccessDenied,
// and what does not exist for a member is a chat.NotFound error.
type Store interface {
	// Channels lists the user's channels, newest activity first, each with
	// MyMembership.
	Channels(ctx context.Context, user chat.UserID, includeArchived bool) ([]chat.Channel, error)
	// Channel gives one channel with the viewer's membership. A public channel is
	// shown to those who are not members too, MyMembership being nil.
	Channel(ctx context.Context, id chat.ID, viewer chat.UserID) (*chat.Channel, error)
	// DirectChannel finds the channel of a DirectKey; chat.NotFound when there is none.
	DirectChannel(ctx context.Context, key string, viewer chat.UserID) (*chat.Channel, error)
	// Browse lists public, unarchived channels whose name or topic contains query
	// (case-insensitively), those with most members first, at most limit.
	Browse(ctx context.Context, viewer chat.UserID, query string, limit int) ([]chat.Channel, error)
	// Members lists a channel's members with their users, by the time they joined.
	Members(ctx context.Context, channel chat.ID, viewer chat.UserID) ([]chat.Member, error)
	// SetMembership changes the user's own settings in a channel.
	SetMembership(ctx context.Context, channel chat.ID, user chat.UserID, p chat.MembershipPatch) error
	// History gives a page of messages with reactions and users; deleted ones are
	// left out.
	History(ctx context.Context, q model.HistoryQuery) ([]chat.Message, error)
	// Message gives one message with reactions and user, a deleted one too
	// (without content).
	Message(ctx context.Context, channel, id chat.ID, viewer chat.UserID) (*chat.Message, error)
	// Users gives those of the users that exist, in no order.
	Users(ctx context.Context, ids []chat.UserID) ([]chat.User, error)
	// FindUsers lists active users whose name, email or id begins with query, at
	// most limit, by name.
	FindUsers(ctx context.Context, query string, limit int) ([]chat.User, error)
	// SharesChannel gives those of the users who share a channel with viewer, and
	// viewer himself.
	SharesChannel(ctx context.Context, viewer chat.UserID, users []chat.UserID) ([]chat.UserID, error)
}

// Realtime is who is here at this moment: memory only, it never asks the database.
type Realtime interface {
	// Typing tells the channel's listeners, but for user's own sockets.
	Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	// PublishReadReceipt tells the channel's listeners of a receipt.
	PublishReadReceipt(r chat.ReadReceiptFrame)
	// Online gives those of the users who have an open socket; of nil, everybody
	// who has, up to 10,000.
	Online(users []chat.UserID) []chat.UserID
	// IsMember reports what this node knows of a connected user's membership; ok
	// is false when it knows nothing.
	IsMember(channel chat.ID, user chat.UserID) (member, ok bool)
}

// Socket is what a verb may do to the socket that asked. REST has none.
type Socket interface {
	// Join makes the socket hear a channel of which its user is a member, from now
	// on; it returns the channel's last seq. Leave is the opposite.
	Join(ctx context.Context, channel chat.ID) (chat.Seq, error)
	Leave(channel chat.ID)
	// Resume makes the socket hear each channel from after the given seq; it
	// returns where each starts and how far it goes. The channels whose cursor
	// cannot be honoured are left out, and the socket is told to resync them.
	Resume(ctx context.Context, epoch string, cursors map[chat.ID]chat.Seq) (map[chat.ID]chat.SeqRange, error)
	// Watch tells the socket when one of the users comes or goes, instead of those
	// it watched before.
	Watch(users []chat.UserID)
}
