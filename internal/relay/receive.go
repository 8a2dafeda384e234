package relay

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/chat"
)

// inboxMost bounds the messages that wait to be taken.
const inboxMost = 16_384

// receive takes messages in the order in which they come, until ctx ends.
// Nothing here waits: what must is an errand.
func (n *Node) receive(ctx context.Context) {
	for {
		var m *nats.Msg
		select {
		case m = <-n.in:
		case <-ctx.Done():
			return
		}
		h, body, why := split(m.Data)
		if why == "" && !n.take(h, body) {
			why = ignoredMalformed
		}
		if why != "" {
			n.config.Metrics.Ignored.WithLabelValues(string(why)).Inc()
			n.peers.gap("messages of other nodes were not understood")
			continue
		}
		n.config.Metrics.Received.WithLabelValues(kindNames[h.kind]).Inc()
	}
}

// read decodes a body. Fields that are not known are skipped.
func read[T any](body []byte) (v T, ok bool) { return v, json.Unmarshal(body, &v) == nil }

// take does what a message asks for; ok is false when it makes no sense.
func (n *Node) take(h header, body []byte) (ok bool) {
	switch h.kind {
	case kindEvents:
		return n.takeEvents(h, body)
	case kindHead:
		note, ok := read[headNote](body)
		if ok {
			n.hub.MarkUncertain([]chat.ID{note.Channel})
		}
		return ok
	case kindJoins:
		note, ok := read[joinsNote](body)
		if ok && (len(n.hub.Connected(note.Users)) > 0 || n.hub.HasListeners(note.Channel)) {
			n.send(joinLookup(note))
		}
		return ok
	case kindTyping:
		note, ok := read[typingNote](body)
		if ok && note.User.Valid() {
			n.hub.RemoteTyping(note.Channel, note.User, note.Types, note.At)
		}
		return ok
	case kindRead:
		r, ok := read[chat.ReadReceiptFrame](body)
		if ok && r.UserID.Valid() {
			r.Type = chat.EventReadReceipt
			n.config.Database.ForgetReads(r.ChannelID)
			n.hub.RemoteReadReceipt(r)
		}
		return ok
	case kindPresence, kindAsk, kindAnswer:
		return n.presenceQueries.take(h, body)
	case kindRevoke:
		note, ok := read[revokeNote](body)
		if ok && note.User.Valid() {
			n.revoke(note)
		}
		return ok
	case kindUser:
		note, ok := read[userNote](body)
		if ok {
			n.config.Database.ForgetUser(note.User)
		}
		return ok
	case kindBeat:
		note, ok := read[beatNote](body)
		if ok {
			n.peers.received(h, note, time.Now())
		}
		return ok
	case kindBye:
		n.peers.left(h.node)
	case kindLost:
		n.peers.gap("a node could not say all")
	}
	return true
}

func (n *Node) takeEvents(h header, body []byte) bool {
	entries, ok := read[[]chat.Entry](body)
	if !ok || !acceptable(entries) {
		return false
	}
	if lag, known := n.peers.lag(h.node, h.at); known {
		n.config.Metrics.Lag.Observe(lag.Seconds())
	}
	n.hub.ApplyRemote(entries)
	return true
}

// failed is told by NATS that something went wrong beside any call.
func (n *Node) failed(_ *nats.Conn, sub *nats.Subscription, err error) {
	if sub != nil && err == nats.ErrSlowConsumer { //nolint:errorlint // it is given as it is
		n.config.Metrics.Dropped.WithLabelValues("slow").Inc()
		n.peers.gap("more came than could be taken")
		return
	}
	n.config.Log.Warn("relay", "err", err)
}

// presenceQueries are questions to the other nodes: who is online with them?
type presenceQueries struct {
	node *Node
	wake chan struct{}

	mu   sync.Mutex // guards what follows
	last uint64
	open map[uint64]*ask
	due  map[chat.UserID]struct{} // of whom nobody waits to hear
}

type ask struct {
	users  []chat.UserID
	waits  map[string]bool // nodes that have not answered
	online []chat.UserID
	done   chan struct{} // closed when all have answered
}

const (
	askWait    = 200 * time.Millisecond
	asksMost   = 4096 // questions open at a time
	answerMost = 5000 // users in an answer
	askedMost  = 500  // users in a question
)

func newAsks(n *Node) *presenceQueries {
	return &presenceQueries{node: n, wake: make(chan struct{}, 1), open: make(map[uint64]*ask), due: make(map[chat.UserID]struct{})}
}

// later has the other nodes asked for users soon, by nobody who waits.
func (a *presenceQueries) later(users []chat.UserID) {
	if a.node.unlinked {
		return
	}
	a.mu.Lock()
	for _, id := range users {
		a.due[id] = struct{}{}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run asks what is to be asked later until ctx ends.
func (a *presenceQueries) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		due := slices.Collect(maps.Keys(a.due))
		clear(a.due)
		a.mu.Unlock()
		for some := range slices.Chunk(due, askedMost) {
			if ctx.Err() == nil {
				a.one(some)
			}
		}
	}
}

// online asks all nodes that are heard and waits for them, but not for long.
func (a *presenceQueries) online(users []chat.UserID) (online []chat.UserID) {
	if users == nil {
		return a.one(nil)
	}
	// All at the same time: a node that is silent shall hold up nobody for longer
	// because he asks for many.
	chunks := slices.Collect(slices.Chunk(users, askedMost))
	answers := make([][]chat.UserID, len(chunks))
	var asked sync.WaitGroup
	for i, some := range chunks {
		asked.Go(func() { answers[i] = a.one(some) }) // ends after askWait at most
	}
	asked.Wait()
	return slices.Concat(answers...)
}

func (a *presenceQueries) one(users []chat.UserID) []chat.UserID {
	q := &ask{users: users, waits: a.node.peers.names(), done: make(chan struct{})}
	if len(q.waits) == 0 {
		return nil
	}
	a.mu.Lock()
	if len(a.open) >= asksMost {
		a.mu.Unlock()
		return nil
	}
	a.last++
	id := a.last
	a.open[id] = q
	a.mu.Unlock()
	if a.node.out.publish(kindAsk, toAll, a.node.config.Now(), askNote{Ask: id, All: users == nil, Users: users}) == nil {
		t := time.NewTimer(askWait)
		select {
		case <-q.done:
		case <-t.C:
		}
		t.Stop()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
	return q.online
}

// take answers a question, or takes an answer, or news of somebody.
func (a *presenceQueries) take(h header, body []byte) bool {
	n := a.node
	switch h.kind {
	case kindPresence:
		note, ok := read[presenceNote](body)
		if ok {
			n.hub.RemotePresence(h.node, note.User, note.Online)
		}
		return ok
	case kindAsk:
		note, ok := read[askNote](body)
		if !ok || len(note.Users) > askedMost {
			return false
		}
		if note.Users == nil {
			note.Users = []chat.UserID{}
		}
		if note.All {
			note.Users = nil
		}
		online := n.hub.LocalOnline(note.Users)
		n.out.put(outgoing{kind: kindAnswer, subject: toNode + h.node, body: answerNote{Ask: note.Ask, Online: online[:min(len(online), answerMost)]}})
		return true
	default:
		note, ok := read[answerNote](body)
		if ok {
			a.answered(h.node, note)
		}
		return ok
	}
}

func (a *presenceQueries) answered(node string, note answerNote) {
	a.mu.Lock()
	q := a.open[note.Ask]
	if q == nil || !q.waits[node] {
		a.mu.Unlock()
		return // too late
	}
	delete(q.waits, node)
	q.online = append(q.online, note.Online...)
	if len(q.waits) == 0 {
		close(q.done)
	}
	users := q.users
	a.mu.Unlock()
	is := make(map[chat.UserID]bool, len(note.Online))
	for _, id := range note.Online {
		is[id] = true
	}
	for _, id := range users {
		a.node.hub.RemotePresence(node, id, is[id])
	}
}

// names are the nodes that are heard.
func (p *peers) names() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	names := make(map[string]bool, len(p.heard))
	for id, other := range p.heard {
		if now.Sub(other.heard) <= p.silence() {
			names[id] = true
		}
	}
	return names
}
