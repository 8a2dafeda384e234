package relay

import (
	"context"
	"log/slog"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
)

// Config configures a Node. Zero values mean the defaults.
type Config struct {
	// ClusterID keeps nodes of different databases apart that share a NATS. It
	// consists of letters and digits.
	ClusterID string
	Version   string // of the program, for operators
	Link      Link
	Metrics   *metric.Relay
	Log       *slog.Logger
	Now       func() time.Time

	Database Database
	Access   Access

	// Heartbeat is the interval of the messages by which a node shows that it lives.
	// Default 500 ms. After two and a half of them without a message a node counts as
	// silent; after ten it is gone, with all users it had online.
	Heartbeat time.Duration
	// ReconcileInterval is how often the database is polled while not all nodes hear
	// each other, CalmInterval how often otherwise. Defaults 2 s and 30 s.
	ReconcileInterval, CalmInterval time.Duration
	// QueueBytes bounds what waits to be sent. Default 32 MiB.
	QueueBytes int
}

func (c Config) withDefaults() Config {
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&c.Heartbeat, 500*time.Millisecond)
	set(&c.ReconcileInterval, 2*time.Second)
	set(&c.CalmInterval, 30*time.Second)
	if c.QueueBytes == 0 {
		c.QueueBytes = 32 << 20
	}
	if c.Metrics == nil {
		c.Metrics = metric.New().Relay
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// env is what every part of a Node uses.
type env struct {
	log     *slog.Logger
	metrics *metric.Relay
	now     func() time.Time
}

// Database is the database that the nodes share: the source of truth.
type Database interface {
	rowDatabase
	headDatabase
	joinDatabase
	revocationDatabase
	// ForgetUser and ForgetReads drop what is cached of a user, and of how far a
	// channel's members have read.
	ForgetUser(id chat.UserID)
	ForgetReads(channel chat.ID)
}

// rowDatabase has a row for each node.
type rowDatabase interface {
	// Heartbeat counts one heartbeat of a node. It returns the count of every node that
	// has a row, by id.
	Heartbeat(ctx context.Context, id, version string) (beats map[string]int64, err error)
	// ForgetNode deletes the row of a node if its count is still beats, Deregister that
	// of a node that ends.
	ForgetNode(ctx context.Context, id string, beats int64) error
	Deregister(ctx context.Context, id string) error
}

type headDatabase interface {
	// HeadsBeyond returns the last seqs of those channels that are beyond known.
	HeadsBeyond(ctx context.Context, known map[chat.ID]chat.Seq) (map[chat.ID]chat.Seq, error)
}

type joinDatabase interface {
	headDatabase
	// RecentJoins returns the entries after a time by which memberships began.
	RecentJoins(ctx context.Context, after chat.Time) ([]chat.Entry, error)
	// JoinSeqs returns the seqs at which the users joined who are members of a channel,
	// and the channel's last seq.
	JoinSeqs(
		ctx context.Context, channel chat.ID, users []chat.UserID,
	) (joined map[chat.UserID]chat.Seq, head chat.Seq, err error)
}

type revocationDatabase interface {
	// Revocations returns those with ids above after, in the order of their ids.
	Revocations(ctx context.Context, after int64, limit int) ([]model.Revocation, error)
	// LastRevocation returns the highest id.
	LastRevocation(ctx context.Context) (int64, error)
}

// Access ends what users have open on this node after another node has ended their
// access.
type Access interface {
	// RevokedElsewhere ends the log-ins of a user with these token hashes; all of them
	// when closed is empty.
	RevokedElsewhere(closed []model.TokenHash, user chat.UserID)
	EnabledElsewhere(user chat.UserID)
}

// Hub is the hub of this node.
type Hub interface {
	entryHub
	headHub
	joinHub
	presenceHub
	// NodeGone notes that no user is online on a node any longer.
	NodeGone(node string)
}

type entryHub interface {
	// Publish accepts entries that this node committed, ApplyRemote those of others.
	Publish(entries []chat.Entry)
	ApplyRemote(entries []chat.Entry)
	// MarkUncertain accepts channels in which an entry may have been committed.
	MarkUncertain(channels []chat.ID)
	RemoteTyping(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time)
	RemoteReadReceipt(r chat.ReadReceiptFrame)
}

type headHub interface {
	// Heads returns the last known seq of each channel with listeners here.
	Heads() map[chat.ID]chat.Seq
	// ObserveHeads accepts heads from the database. It returns the number of channels
	// that miss entries.
	ObserveHeads(heads map[chat.ID]chat.Seq) (behind int)
}

type joinHub interface {
	headHub
	// HasListeners reports whether a channel has listeners here.
	HasListeners(channel chat.ID) bool
	// Connected returns those of the users who have a socket here.
	Connected(users []chat.UserID) []chat.UserID
	// ApplyJoins subscribes sockets of users who are members according to the database.
	ApplyJoins(channel chat.ID, head chat.Seq, joined map[chat.UserID]chat.Seq)
}

type presenceHub interface {
	// RemotePresence notes whether a user is online on another node.
	RemotePresence(node string, user chat.UserID, online bool)
	// LocalOnline returns those of the users who are online here; for nil, all who are.
	LocalOnline(users []chat.UserID) []chat.UserID
	// Watched returns the users who are watched here.
	Watched() []chat.UserID
}
