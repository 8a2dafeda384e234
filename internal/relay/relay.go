// Package relay connects this node with the other nodes that share its database. It
// carries committed entries and what is not in the log: typing, receipts, presence and
// ended access. It does so over NATS, in the binary or external, with one subject for
// each channel, to which a node is subscribed while the channel has listeners there.
//
// The relay is never trusted. What it loses, repeats or delays is noticed by gaps in the
// seqs and by polling the database: every 30 seconds, and every two while not all nodes
// hear each other. It gives no one a right. A journal worker that publishes never waits:
// what does not fit is dropped, and the other nodes read it from the log. A node without
// a Link reads everything from the database.
package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/model"
)

// Node is this node among the others. It is a hub.Relay and a journal.Publisher. New
// creates one, Start starts it once its hub runs, and Close ends it.
type Node struct {
	config   Config
	env      env
	id       nodeID
	unlinked bool // there is no link: this node reads everything from the database
	link     *link
	hub      struct{ Hub } // set by Start

	publisher     publisher
	outbox        *outbox
	receiver      receiver
	subscriptions *subscriptions
	peers         *peers
	presence      *presenceQueries
	joins         *joins
	revocations   *revocations
	reconciler    *reconciler
	rows          nodeRows

	started atomic.Bool
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// New returns a Node that queues what it is to send. It sends nothing before Start.
func New(c Config) *Node {
	n := &Node{config: c.withDefaults(), id: newNodeID(), unlinked: !c.Link.IsSet()}
	c = n.config
	n.env = env{log: c.Log, metrics: c.Metrics, now: c.Now}
	n.publisher = publisher{env: n.env, from: n.id, cluster: clusterID(c.ClusterID)}
	n.outbox = newOutbox(n.env, c.QueueBytes, n.publisher.publish, n.hasPeers)
	n.peers = newPeers(n.env, &c, n.id, n.sendBeat, peerReactions{
		nodeGone:        func(id string) { n.hub.NodeGone(id) },
		pollSoon:        func() { n.reconciler.pollSoon() },
		refreshPresence: func() { n.reconciler.pollPresence() },
	})
	n.subscriptions = newSubscriptionSet(n.env, len(n.fixedSubjects()), n.subscribe, n.catchUp)
	n.presence = newPresenceQueries(n.env, &n.hub, n.peers.heardNodes, n.publisher.publish, n.outbox.put)
	n.joins = newJoins(n.env, c.CalmInterval, &n.hub, c.Database, n.peers.lost)
	n.revocations = newRevocations(n.env, c.Database, c.Access)
	n.rows = nodeRows{env: n.env, self: n.id.String(), version: c.Version, db: c.Database, peers: n.peers}
	n.reconciler = n.newReconciler()
	n.receiver = receiver{
		env: n.env, in: make(chan *nats.Msg, maxInbox), handlers: n.handlers(), lost: n.peers.lost,
	}
	return n
}

func (n *Node) newReconciler() *reconciler {
	h := &heads{env: n.env, hub: &n.hub, db: n.config.Database}
	return &reconciler{
		env: n.env, interval: n.config.ReconcileInterval, calmInterval: n.config.CalmInterval,
		heads: h, joins: n.joins, peers: n.peers, hub: &n.hub, askPresence: n.askPresence, wake: async.NewSignal(),
		sources: []source{
			{"poll the database for ended access", n.revocations.poll},
			{pollHeads, h.poll},
			{"poll the database for new members", n.joins.poll},
		},
	}
}

// handlers returns what is done with each kind of message.
func (n *Node) handlers() map[kind]handler {
	return map[kind]handler{
		kindEvents:   decoded(n.handleEntries),
		kindHead:     decoded(n.handleHead),
		kindJoins:    decoded(n.joins.handle),
		kindTyping:   decoded(n.handleTyping),
		kindRead:     decoded(n.handleRead),
		kindPresence: decoded(n.presence.handlePresence),
		kindAsk:      decoded(n.presence.handleQuery),
		kindAnswer:   decoded(n.presence.handleResponse),
		kindRevoke:   decoded(n.revocations.handle),
		kindUser:     decoded(n.handleUser),
		kindBeat:     decoded(n.peers.handleBeat),
		kindLeaving:  n.peers.handleLeaving,
		kindLost:     func(header, []byte) bool { n.peers.lost(lostBySender); return true },
	}
}

// ID returns the node's id, which is another one after each start.
func (n *Node) ID() string { return n.id.String() }

// State returns the state of the connections between the nodes.
func (n *Node) State() State { return n.peers.lastState() }

// RouteAddress returns the address to which other nodes connect, "" when they do not.
func (n *Node) RouteAddress() string {
	if n.link == nil {
		return ""
	}
	return n.link.routeAddress()
}

// startTimeout bounds Start.
const startTimeout = 10 * time.Second

// Start begins to send and receive. It is not an error if no other node responds.
func (n *Node) Start(ctx context.Context, h Hub) error {
	n.hub.Hub = h
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.revocations.begin(ctx); err != nil {
		return err
	}
	n.joins.skip()
	n.reconciler.begin()
	if err := n.rows.beat(ctx); err != nil {
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
	n.done.Go(func() { n.rows.run(running) })       // ends when Close cancels running
	if n.unlinked {
		return nil
	}
	n.done.Go(func() { n.receiver.run(running) })      // ends when Close cancels running
	n.done.Go(func() { n.joins.run(running) })         // ends when Close cancels running
	n.done.Go(func() { n.outbox.run() })               // ends when Close closes the outbox
	n.done.Go(func() { n.subscriptions.run(running) }) // ends when Close cancels running
	n.done.Go(func() { n.peers.run(running) })         // ends when Close cancels running
	n.done.Go(func() { n.presence.run(running) })      // ends when Close cancels running
	n.done.Go(func() { n.link.discover(running) })     // ends when Close cancels running
	n.config.Log.Info("relay started", "node", n.ID(), "link", n.link.String())
	return nil
}

// fixedSubjects returns the subjects that every node is subscribed to.
func (n *Node) fixedSubjects() []string { return []string{toAll, toNode + n.id.String()} }

// connect opens the link, and subscribes to the fixed subjects.
func (n *Node) connect() (err error) {
	events := linkEvents{linked: n.peers.setLinked, failed: n.linkFailed}
	if n.link, err = openLink(n.config.Link, n.id.String(), n.config.Log, events); err != nil {
		return err
	}
	n.publisher.conn = n.link.conn
	fixed := n.fixedSubjects()
	n.config.Metrics.Subscriptions.Set(float64(len(fixed)))
	for _, subject := range fixed {
		if _, err := n.subscribe(subject); err != nil {
			n.link.close()
			return fmt.Errorf("subscribe to messages of other nodes: %w", err)
		}
	}
	return nil
}

func (n *Node) subscribe(subject string) (subscription, error) {
	return n.link.conn.ChanSubscribe(n.publisher.cluster.subject(subject), n.receiver.in)
}

// hasPeers reports whether there is another node to send to.
func (n *Node) hasPeers() bool { return !n.unlinked && !n.peers.isAlone() }

// catchUp has what other nodes sent before they knew of new subscriptions read from the
// database.
func (n *Node) catchUp(added newSubscriptions) {
	if !n.peers.isAlone() {
		n.reconciler.scheduleCatchUp(added)
	}
}

func (n *Node) sendBeat(note beatNote) {
	_ = n.publisher.publish(kindBeat, toAll, n.config.Now(), note) // the next heartbeat is soon
}

func (n *Node) askPresence(users []chat.UserID) {
	if !n.unlinked {
		n.presence.schedule(users)
	}
}

// linkFailed is called by NATS for errors outside of any call.
func (n *Node) linkFailed(err error) {
	if errors.Is(err, nats.ErrSlowConsumer) {
		n.config.Metrics.Dropped.WithLabelValues("slow").Inc()
		n.peers.lost(lostSlow)
		return
	}
	n.config.Log.Warn("relay: NATS reported an error", "err", err)
}

// Close sends what was queued, and that this node ends. It waits for that until ctx
// ends.
func (n *Node) Close(ctx context.Context) error {
	if !n.started.CompareAndSwap(true, false) {
		n.outbox.close()
		return nil
	}
	n.stop()
	n.outbox.put(outgoing{kind: kindLeaving, subject: toAll, body: struct{}{}})
	n.outbox.close()
	var err error
	if !n.unlinked {
		err = n.outbox.wait(ctx)
		n.link.flush(ctx)
		n.link.close()
	}
	n.done.Wait()
	if err := n.config.Database.Deregister(ctx, n.id.String()); err != nil {
		// The other nodes notice by themselves that this one has ended.
		n.config.Log.Warn("delete this node's row from the database", "err", err)
	}
	return err
}

// Publish publishes committed entries to the hub here, and then to the other nodes. See
// journal.Publisher.
func (n *Node) Publish(entries []chat.Entry) {
	n.hub.Publish(entries)
	if len(entries) > 0 {
		n.outbox.put(outgoing{kind: kindEvents, entries: entries})
	}
}

// MarkUncertain accepts channels in which an entry may have been committed without being
// published. See journal.Publisher.
func (n *Node) MarkUncertain(channels []chat.ID) {
	n.hub.MarkUncertain(channels)
	for _, id := range channels {
		n.outbox.put(outgoing{kind: kindHead, subject: toChannel + id.String(), body: headNote{Channel: id}})
	}
}

// Revoked sends the other nodes that access of a user ended here, or was given back when
// enabled is true. See auth.Authenticator.
func (n *Node) Revoked(closed []model.TokenHash, user chat.UserID, enabled bool) {
	note := revokeNote{User: user, Enabled: enabled}
	for _, h := range closed {
		note.Closed = append(note.Closed, h[:])
	}
	n.revocations.remember(note)
	n.outbox.put(outgoing{kind: kindRevoke, subject: toAll, body: note})
}

// UserChanged has the other nodes forget what they cached of a user. See store.Options.
func (n *Node) UserChanged(user chat.UserID) {
	n.outbox.put(outgoing{kind: kindUser, subject: toAll, body: userNote{User: user}})
}
