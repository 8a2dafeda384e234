package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// outgoing is something to be said: entries, or one body.
type outgoing struct {
	kind    kind
	subject string // see toAll
	body    any
	events  []chat.Entry // of any channels, in the order of each
	at      time.Time
	size    int
}

// outbox is what waits to be said. Whoever puts something into it never waits.
type outbox struct {
	node *Node
	wake chan struct{}
	over chan struct{} // closed when all is said and nothing more comes

	mu      sync.Mutex // guards what follows
	waiting []outgoing
	bytes   int
	lost    bool // something was dropped of which the others must know
	closed  bool
}

// outboxMost bounds the parcels that wait.
const outboxMost = 16_384

func newOutbox(n *Node) *outbox {
	return &outbox{node: n, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// eventSize is about what an entry takes on the wire.
func eventSize(ev *chat.Entry) int {
	n := 256 + len(ev.Content)
	if ev.Message != nil {
		n += 256 + len(ev.Message.Content)
	}
	return n + 64*len(ev.InitialMembers)
}

func (p *outgoing) measure() {
	p.size = 256
	for i := range p.events {
		p.size += eventSize(&p.events[i])
	}
}

// put takes a parcel, or drops it when there is no room: the others will find what
// they miss in the database.
func (o *outbox) put(p outgoing) { o.add(p, 1) }

// putIfRoom is put for what is missed least: it is dropped first.
func (o *outbox) putIfRoom(p outgoing) { o.add(p, 2) }

func (o *outbox) add(p outgoing, share int) {
	if o.node.unlinked || o.node.peers.isAlone() {
		return
	}
	p.at = o.node.config.Now()
	p.measure()
	o.mu.Lock()
	full := len(o.waiting) >= outboxMost/share || o.bytes+p.size > o.node.config.QueueBytes/share
	switch {
	case o.closed:
		o.mu.Unlock()
		return
	case full:
		o.lost = o.lost || share == 1
		o.mu.Unlock()
		o.node.config.Metrics.Dropped.WithLabelValues("queue").Add(float64(max(1, len(p.events))))
		return
	}
	o.waiting = append(o.waiting, p)
	o.bytes += p.size
	o.mu.Unlock()
	o.signal()
}

func (o *outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.signal()
}

// wait waits until all is said.
func (o *outbox) wait(ctx context.Context) error {
	select {
	case <-o.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (o *outbox) take() (all []outgoing, lost, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all, lost, closed = o.waiting, o.lost, o.closed
	o.waiting, o.bytes, o.lost = nil, 0, false
	return all, lost, closed
}

// run says what there is until the outbox is closed and empty.
func (o *outbox) run() {
	defer close(o.over)
	for {
		all, lost, closed := o.take()
		for i := range all {
			lost = o.send(&all[i]) != nil || lost
		}
		if lost && o.publish(kindLost, toAll, o.node.config.Now(), struct{}{}) != nil {
			o.mu.Lock()
			o.lost = true // with the next
			o.mu.Unlock()
		}
		if len(all) > 0 {
			continue
		}
		if closed {
			return
		}
		<-o.wake
	}
}

// Bounds on the entries that travel together.
const (
	togetherMost  = 64
	togetherBytes = 64 << 10
	joinersMost   = 500
)

func (o *outbox) send(p *outgoing) error {
	if p.events == nil {
		return o.publish(p.kind, p.subject, p.at, p.body)
	}
	var errs error
	for from := 0; from < len(p.events); {
		ev := &p.events[from]
		if joins := ev.JoinedUsers(); len(joins) > 0 {
			errs = errors.Join(errs, o.sendJoins(ev, joins, p.at))
			from++
			continue
		}
		to, size := from, 0
		for to < len(p.events) && to-from < togetherMost && p.events[to].ChannelID == ev.ChannelID && len(p.events[to].JoinedUsers()) == 0 {
			if size += eventSize(&p.events[to]); size > togetherBytes && to > from {
				break
			}
			to++
		}
		errs = errors.Join(errs, o.sendEvents(p.events[from:to], p.at))
		from = to
	}
	return errs
}

// sendEvents sends entries of one channel; what is too large for that is only
// named.
func (o *outbox) sendEvents(events []chat.Entry, at time.Time) error {
	subject := toChannel + events[0].ChannelID.String()
	err := o.publish(kindEvents, subject, at, events)
	if errors.Is(err, errTooLarge) {
		return o.publish(kindHead, subject, at, headNote{Channel: events[0].ChannelID})
	}
	return err
}

// sendJoins tells all nodes who becomes a member by an entry: it is news for those
// on which nobody listens to the channel yet.
func (o *outbox) sendJoins(ev *chat.Entry, joins []chat.UserID, at time.Time) (errs error) {
	for len(joins) > 0 {
		some := joins[:min(len(joins), joinersMost)]
		joins = joins[len(some):]
		errs = errors.Join(errs, o.publish(kindJoins, toAll, at, joinsNote{Channel: ev.ChannelID, Seq: ev.Seq, Users: some}))
	}
	return errs
}

// publish publishes one message. It may wait for the link, but not for long.
func (o *outbox) publish(k kind, to string, at time.Time, body any) error {
	n := o.node
	m, err := n.encode(k, at.UnixMicro(), body)
	if err == nil {
		err = n.link.conn.Publish(n.subject(to), m)
		if err != nil && k != kindBeat { // the next beat is soon
			n.config.Metrics.Dropped.WithLabelValues("link").Inc()
		}
	}
	if err != nil {
		return err
	}
	n.config.Metrics.Published.WithLabelValues(kindNames[k]).Inc()
	return nil
}
