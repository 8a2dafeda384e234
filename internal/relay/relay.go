// Package relay is between this node and the others that share its database. It
// carries committed entries, and what is no entry: typing, receipts, who is here,
// whose access ended. It does so over NATS, in the binary or elsewhere: one subject
// for each channel, to which a node is subscribed while somebody listens there.
//
// It is never trusted. What it loses, doubles or delays is found by holes in the
// seqs, and by a look at the database: every 30 seconds, and every two while not all
// nodes hear each other. Nobody gets a right from it. A lane that publishes never
// waits: what does not fit is dropped, and read from the log by the others. A node
// without a Link has all from the database.
package relay

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
)

// Database is where the truth is.
type Database interface {
	// Heartbeat notes that a node lives and gives how often each node that is not
	// forgotten did so, by id.
	Heartbeat(ctx context.Context, id, version string) (beats map[string]int64, err error)
	// ForgetNode drops a node that has not lived since it had as many beats,
	// Deregister one that ends.
	ForgetNode(ctx context.Context, id string, beats int64) error
	Deregister(ctx context.Context, id string) error
	// HeadsBeyond gives the heads of those channels that are further than known.
	HeadsBeyond(ctx context.Context, known map[chat.ID]chat.Seq) (map[chat.ID]chat.Seq, error)
	// RecentJoins gives entries after a time by which memberships began.
	RecentJoins(ctx context.Context, after chat.Time) ([]chat.Entry, error)
	// JoinSeqs tells since when those of the users who are members of a channel are,
	// and how far it is.
	JoinSeqs(ctx context.Context, channel chat.ID, users []chat.UserID) (map[chat.UserID]chat.Seq, chat.Seq, error)
	Revocations(ctx context.Context, after int64, limit int) ([]model.Revocation, error)
	LastRevocation(ctx context.Context) (int64, error)
	// ForgetUser and ForgetReads drop what is remembered of a user, and of how far a
	// channel's members have read.
	ForgetUser(id chat.UserID)
	ForgetReads(channel chat.ID)
}

// Access ends what users have open here, because another node ended their access.
type Access interface {
	RevokedElsewhere(closed []model.TokenHash, user chat.UserID)
	EnabledElsewhere(user chat.UserID)
}

// Config says how a Node works. Zero values mean the defaults.
type Config struct {
	// Space keeps nodes of different databases apart that share a NATS: letters and
	// digits.
	Space   string
	Version string // of the program, for people
	Link    Link
	Metrics *metric.Relay
	Log     *slog.Logger
	Now     func() time.Time // the time of day

	Database Database
	Access   Access

	// Heartbeat is how often a node says that it lives. Default 500 ms. After two and a
	// half of them without a word it is silent; after ten it is gone, with all whom
	// it had online.
	Heartbeat time.Duration
	// Heal is how often the database is asked while not all nodes hear each other,
	// HealCalm how often otherwise. Defaults 2 s and 30 s.
	Heal, HealCalm time.Duration
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
	set(&c.Heal, 2*time.Second)
	set(&c.HealCalm, 30*time.Second)
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

// Node is this node as the others know it. It is a hub.Relay and a
// journal.Publisher. Make one with New, Start it once its hub is there; Close ends
// it.
type Node struct {
	config   Config
	id       string
	raw      [8]byte // the id on the wire
	unlinked bool    // there is no link: the others know this node by the database alone
	hub      *hub.Hub
	link     *link // nil when mute

	out             *outbox
	subscriptions   *subscriptions
	peers           *peers
	presenceQueries *presenceQueries
	reconciler      *reconciler
	in              chan *nats.Msg
	errands         chan joinLookup

	started atomic.Bool
	stop    context.CancelFunc // of what works
	done    sync.WaitGroup
}

// New makes a Node that takes what is told and sends nothing yet.
func New(c Config) *Node {
	n := &Node{config: c.withDefaults(), unlinked: !c.Link.IsSet(), in: make(chan *nats.Msg, inboxMost), errands: make(chan joinLookup, errandsMost)}
	if _, err := rand.Read(n.raw[:]); err != nil {
		panic("relay: " + err.Error()) // documented never to happen
	}
	n.id = hex.EncodeToString(n.raw[:])
	n.out = newOutbox(n)
	n.subscriptions = newInterest(n)
	n.peers = newPeers(n)
	n.presenceQueries = newAsks(n)
	n.reconciler = newHealer(n)
	return n
}

// ID is the node's name, another one at each start.
func (n *Node) ID() string { return n.id }

// startTimeout bounds what a start waits for.
const startTimeout = 10 * time.Second

// Start begins to tell and to hear. That nobody answers is no error.
func (n *Node) Start(ctx context.Context, h *hub.Hub) error {
	n.hub = h
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.reconciler.begin(ctx); err != nil {
		return err
	}
	if !n.unlinked {
		if err := n.connect(); err != nil {
			return err
		}
	}
	running, stop := context.WithCancel(context.Background())
	n.stop = stop
	n.started.Store(true)
	n.done.Go(func() { n.reconciler.run(running) }) // ends when Close cancels running
	if n.unlinked {
		return nil
	}
	n.done.Go(func() { n.receive(running) })             // ends when Close cancels running
	n.done.Go(func() { n.runErrands(running) })          // ends when Close cancels running
	n.done.Go(func() { n.out.run() })                    // ends when Close closes the outbox
	n.done.Go(func() { n.subscriptions.run(running) })   // ends when Close cancels running
	n.done.Go(func() { n.peers.run(running) })           // ends when Close cancels running
	n.done.Go(func() { n.presenceQueries.run(running) }) // ends when Close cancels running
	n.done.Go(func() { n.link.discover(running) })       // ends when Close cancels running
	n.config.Log.Info("relay started", "node", n.id, "link", n.link.String())
	return nil
}

// connect makes the way to the other nodes.
func (n *Node) connect() (err error) {
	if n.link, err = open(n); err != nil {
		return err
	}
	if err := n.subscribeFixed(); err != nil {
		n.link.close()
		return err
	}
	return nil
}

// subscribeFixed subscribes to what every node hears.
func (n *Node) subscribeFixed() error {
	fixed := []string{n.subject(toAll), n.subject(toNode + n.id)}
	n.subscriptions.fixed = len(fixed)
	n.config.Metrics.Subscriptions.Set(float64(len(fixed)))
	for _, subject := range fixed {
		if _, err := n.link.conn.ChanSubscribe(subject, n.in); err != nil {
			return fmt.Errorf("subscribe to what other nodes say: %w", err)
		}
	}
	return nil
}

// Close tells the others that this node ends, once all that was taken is sent, and
// waits for it until ctx ends.
func (n *Node) Close(ctx context.Context) error {
	if !n.started.CompareAndSwap(true, false) {
		n.out.close()
		return nil
	}
	n.stop()
	n.out.put(outgoing{kind: kindBye, subject: toAll, body: struct{}{}})
	n.out.close()
	var err error
	if !n.unlinked {
		err = n.out.wait(ctx)
		n.link.flush(ctx)
		n.link.close()
	}
	n.done.Wait()
	if leave := n.config.Database.Deregister(ctx, n.id); leave != nil {
		// The others find out by themselves that it does not live any more.
		n.config.Log.Warn("say in the database that this node ends", "err", leave)
	}
	return err
}

// Publish tells the hub here, and then the other nodes. See journal.Publisher.
func (n *Node) Publish(events []chat.Entry) {
	n.hub.Publish(events)
	if len(events) > 0 {
		n.out.put(outgoing{kind: kindEvents, events: events})
	}
}

// Doubt passes on that something may have been committed that nobody will publish.
func (n *Node) MarkUncertain(channels []chat.ID) {
	n.hub.MarkUncertain(channels)
	for _, id := range channels {
		n.out.put(outgoing{kind: kindHead, subject: toChannel + id.String(), body: headNote{Channel: id}})
	}
}

// Revoked tells the other nodes whose access ended here, or was given back. See
// auth.Authenticator.
func (n *Node) Revoked(closed []model.TokenHash, user chat.UserID, enabled bool) {
	note := revokeNote{User: user, Enabled: enabled}
	for _, h := range closed {
		note.Closed = append(note.Closed, h[:])
	}
	n.reconciler.told(note)
	n.out.put(outgoing{kind: kindRevoke, subject: toAll, body: note})
}

// UserChanged tells the other nodes to forget what they remember of a user. See
// store.Options.
func (n *Node) UserChanged(user chat.UserID) {
	n.out.put(outgoing{kind: kindUser, subject: toAll, body: userNote{User: user}})
}

// Typing, PublishReadReceipt, Presence, Listen, Unlisten, Watch, Unwatch and Online are
// hub.Relay.

// Typing tells the nodes that listen to the channel.
func (n *Node) Typing(channel chat.ID, user chat.UserID, isTyping bool, at chat.Time) {
	n.out.putIfRoom(outgoing{kind: kindTyping, subject: toChannel + channel.String(), body: typingNote{channel, user, isTyping, at}})
}

// PublishReadReceipt tells the nodes that listen to the channel.
func (n *Node) PublishReadReceipt(r chat.ReadReceiptFrame) {
	n.out.putIfRoom(outgoing{kind: kindRead, subject: toChannel + r.ChannelID.String(), body: r})
}

// Presence tells the nodes on which somebody watches the user.
func (n *Node) Presence(user chat.UserID, online bool) {
	n.out.putIfRoom(outgoing{kind: kindPresence, subject: toUser + token(user), body: presenceNote{user, online}})
}

// Listen subscribes to a channel, soon.
func (n *Node) Listen(channel chat.ID) { n.subscriptions.want(toChannel+channel.String(), true) }

// Unlisten ends that.
func (n *Node) Unlisten(channel chat.ID) { n.subscriptions.want(toChannel+channel.String(), false) }

// Watch subscribes to a user's coming and going, soon.
func (n *Node) Watch(user chat.UserID) { n.subscriptions.want(toUser+token(user), true) }

// Unwatch ends that.
func (n *Node) Unwatch(user chat.UserID) { n.subscriptions.want(toUser+token(user), false) }

// Online asks the other nodes, and waits a fifth of a second at most.
func (n *Node) Online(users []chat.UserID) []chat.UserID {
	if n.unlinked {
		return nil
	}
	return n.presenceQueries.online(users)
}

// State says how it is between the nodes, for people.
func (n *Node) State() State { return n.peers.state() }

// RouteAddress is where other nodes connect, "" when they do not.
func (n *Node) RouteAddress() string {
	if n.link == nil {
		return ""
	}
	return n.link.routeAddress()
}
