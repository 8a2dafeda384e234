package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
)

// outgoing is something to send: entries, or one body.
type outgoing struct {
	kind    kind
	subject string // see toAll; not used for entries
	body    any
	entries []chat.Entry // of any channels, those of each in order
	at      time.Time
	size    int
}

// outbox holds what waits to be sent. Adding to it never blocks.
type outbox struct {
	env
	maxBytes int
	publish  publishFunc
	hasPeers func() bool // reports whether there is a node to send to
	wake     async.Signal
	done     chan struct{} // closed when everything was sent and the outbox is closed

	mu      sync.Mutex // guards what follows
	waiting []outgoing
	bytes   int
	lost    bool // something was dropped, and the other nodes must be informed
	closed  bool
}

// maxOutbox bounds what waits in an outbox.
const maxOutbox = 16_384

func newOutbox(e env, maxBytes int, publish publishFunc, hasPeers func() bool) *outbox {
	return &outbox{
		env: e, maxBytes: maxBytes, publish: publish, hasPeers: hasPeers,
		wake: async.NewSignal(), done: make(chan struct{}),
	}
}

// put adds something, or drops it when there is no room. The other nodes then read what
// they miss from the database.
func (o *outbox) put(p outgoing) { o.add(p, 1) }

// putOptional is put for what is missed least: it may use half of the room.
func (o *outbox) putOptional(p outgoing) { o.add(p, 2) }

// add adds something if less than 1/share of the room is used.
func (o *outbox) add(p outgoing, share int) {
	if !o.hasPeers() {
		return
	}
	p.at = o.now()
	p.measure()
	o.mu.Lock()
	full := len(o.waiting) >= maxOutbox/share || o.bytes+p.size > o.maxBytes/share
	switch {
	case o.closed:
		o.mu.Unlock()
		return
	case full:
		o.lost = o.lost || share == 1
		o.mu.Unlock()
		o.metrics.Dropped.WithLabelValues("queue").Add(float64(max(1, len(p.entries))))
		return
	}
	o.waiting = append(o.waiting, p)
	o.bytes += p.size
	o.mu.Unlock()
	o.wake.Notify()
}

// measure sets the size, which is approximate.
func (p *outgoing) measure() {
	p.size = 256
	for i := range p.entries {
		p.size += entrySize(&p.entries[i])
	}
}

// entrySize returns about the bytes that an entry takes on the wire.
func entrySize(ev *chat.Entry) int {
	n := 256 + len(ev.Content)
	if ev.Message != nil {
		n += 256 + len(ev.Message.Content)
	}
	return n + 64*len(ev.InitialMembers)
}

// close accepts nothing more. run sends what waits.
func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.wake.Notify()
}

// wait waits until everything was sent.
func (o *outbox) wait(ctx context.Context) error {
	select {
	case <-o.done:
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

// run sends until the outbox is closed and empty.
func (o *outbox) run() {
	defer close(o.done)
	for {
		all, lost, closed := o.take()
		for i := range all {
			lost = o.send(&all[i]) != nil || lost
		}
		if lost && o.publish(kindLost, toAll, o.now(), struct{}{}) != nil {
			o.mu.Lock()
			o.lost = true // to be sent with the next
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

// Bounds of one message of entries.
const (
	maxMessageEntries = 64
	maxMessageBytes   = 64 << 10
	maxMessageJoins   = 500
)

func (o *outbox) send(p *outgoing) error {
	if p.entries == nil {
		return o.publish(p.kind, p.subject, p.at, p.body)
	}
	var errs error
	for rest := p.entries; len(rest) > 0; {
		n := 1
		if joins := rest[0].JoinedUsers(); len(joins) > 0 {
			errs = errors.Join(errs, o.sendJoins(&rest[0], joins, p.at))
		} else {
			n = countForMessage(rest)
			errs = errors.Join(errs, o.sendEntries(rest[:n], p.at))
		}
		rest = rest[n:]
	}
	return errs
}

// countForMessage returns the number of entries at the beginning that fit into one
// message: of one channel, and none by which a membership begins except the first.
func countForMessage(entries []chat.Entry) int {
	size := entrySize(&entries[0])
	for n := 1; n < len(entries); n++ {
		ev := &entries[n]
		size += entrySize(ev)
		if n == maxMessageEntries || size > maxMessageBytes ||
			ev.ChannelID != entries[0].ChannelID || len(ev.JoinedUsers()) > 0 {
			return n
		}
	}
	return len(entries)
}

// sendEntries sends entries of one channel. If they are too large, it sends that the
// channel has entries to read from the database.
func (o *outbox) sendEntries(entries []chat.Entry, at time.Time) error {
	channel := entries[0].ChannelID
	err := o.publish(kindEvents, toChannel+channel.String(), at, entries)
	if errors.Is(err, errTooLarge) {
		return o.publish(kindHead, toChannel+channel.String(), at, headNote{Channel: channel})
	}
	return err
}

// sendJoins sends all nodes the users who become members by an entry: nodes on which the
// channel has no listeners yet need it as well.
func (o *outbox) sendJoins(ev *chat.Entry, joins []chat.UserID, at time.Time) (errs error) {
	for len(joins) > 0 {
		users := joins[:min(len(joins), maxMessageJoins)]
		joins = joins[len(users):]
		note := joinsNote{Channel: ev.ChannelID, Seq: ev.Seq, Users: users}
		errs = errors.Join(errs, o.publish(kindJoins, toAll, at, note))
	}
	return errs
}
