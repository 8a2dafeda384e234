package hub

import (
	"maps"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// channel is one channel that somebody listens to here.
type channel struct {
	id  chat.ID
	hub *Hub

	mu         sync.Mutex // guards what follows
	head       chat.Seq   // the last entry in order that is known here
	known      bool       // head means something
	beyondGap  chat.Seq   // an entry that exists beyond a hole after head, 0 when there is none
	ring       ring
	listeners  listeners
	outOfOrder map[chat.Seq]chat.Entry // entries beyond the hole; nil for none
	gone       bool                    // dropped from the hub: obtain another

	inbox  inbox
	toldAt time.Time // guarded by mu: when something transient was told last
}

// transientEvery is how often a channel's listeners are told of what is transient:
// a second's typing and receipts are one write each, of the latest.
const transientEvery = time.Second

// inbox takes what is published while the fan-out is busy with the channel.
type inbox struct {
	mu        sync.Mutex // guards what follows
	events    []chat.Entry
	since     time.Time // when the first of them came
	overflow  chat.Seq  // the last entry that did not fit: it is in the log
	transient []transient
	followed  []followed
}

// maxInbox bounds the events that wait for the fan-out, maxTransient what may be
// lost.
const (
	maxInbox     = 1024
	maxTransient = 128
)

// transient is something that only the latest of counts, and that nobody misses
// who cannot take it now.
type transient struct {
	kind  chat.EventType
	user  chat.UserID // whom it is about; the next about him replaces it
	quiet bool        // the user himself is not told
	frame []byte
}

// put takes an event, or notes that the log has it.
func (ch *channel) put(ev chat.Entry) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.events) >= maxInbox || in.overflow > 0 {
		in.overflow = max(in.overflow, ev.Seq)
		return
	}
	if len(in.events) == 0 {
		in.since = ch.hub.config.Now()
	}
	in.events = append(in.events, ev)
}

func (ch *channel) putTransient(t transient) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range in.transient {
		if old := &in.transient[i]; old.kind == t.kind && old.user == t.user {
			*old = t
			return
		}
	}
	if len(in.transient) < maxTransient {
		in.transient = append(in.transient, t)
	}
}

func (ch *channel) take() (events []chat.Entry, overflow chat.Seq, since time.Time, traced bool) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	events, overflow, since, traced = in.events, in.overflow, in.since, len(in.followed) > 0
	in.events, in.overflow, in.since = nil, 0, time.Time{}
	return events, overflow, since, traced
}

// takeTransients gives what is transient, unless something was told less than
// transientEvery ago: then it waits, and wait is true. Called with mu held.
func (ch *channel) takeTransients(now time.Time) (transients []transient, wait bool) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.transient) == 0 {
		return nil, false
	}
	if now.Sub(ch.toldAt) < transientEvery {
		return nil, true
	}
	ch.toldAt = now
	transients, in.transient = in.transient, nil
	return transients, false
}

// learn notes that the channel's head is at least seq, and tells whether that is
// news.
func (ch *channel) learn(seq chat.Seq) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.known {
		ch.known, ch.head = true, seq
		return false
	}
	news := seq > max(ch.head, ch.beyondGap)
	if seq > ch.head {
		ch.beyondGap = max(ch.beyondGap, seq)
	}
	return news
}

// append puts an event at the end, in order, and after it those that came before
// it. Called with mu held.
func (ch *channel) append(ev *chat.Entry) {
	switch {
	case ev.Seq <= ch.head:
		return
	case ev.Seq > ch.head+1:
		ch.keepEarly(ev)
		return
	}
	ch.appendNext(ev)
	for len(ch.outOfOrder) > 0 {
		next, ok := ch.outOfOrder[ch.head+1]
		if !ok {
			return
		}
		delete(ch.outOfOrder, next.Seq)
		ch.appendNext(&next)
	}
	ch.outOfOrder = nil
}

// maxEarly bounds the entries that are kept beyond a hole, holeDelay how long one
// may take to come by itself: two nodes commit to a channel one after the other, and
// what the second has committed often comes first.
const (
	maxEarly  = 64
	holeDelay = 25 * time.Millisecond
)

// keepEarly notes an entry beyond a hole. Without other nodes the log has it sooner
// than anybody else. Called with mu held.
func (ch *channel) keepEarly(ev *chat.Entry) {
	ch.beyondGap = max(ch.beyondGap, ev.Seq)
	if ch.hub.isAlone() || len(ch.outOfOrder) >= maxEarly {
		return
	}
	if ch.outOfOrder == nil {
		ch.outOfOrder = make(map[chat.Seq]chat.Entry, 1)
	}
	ch.outOfOrder[ev.Seq] = *ev
}

// appendNext is append for the event after the last. Called with mu held.
func (ch *channel) appendNext(ev *chat.Entry) {
	ch.head = ev.Seq
	if ch.ring.push(ch.hub.encode(ev), &ch.hub.rings) {
		ch.hub.tight.put(struct{}{})
	}
	for _, u := range ev.JoinedUsers() {
		ch.hub.joined(ch, u, ev.Seq)
	}
	if u := ev.LeftUser(); u != "" {
		ch.hub.left(ch, u)
	}
}

// pass goes on after a seq up to which the log has nothing more: somebody deleted
// rows. Who has not got there is behind, and will be told by catchUp. Called with mu
// held.
func (ch *channel) pass(seq chat.Seq) {
	if seq <= ch.head {
		return
	}
	ch.hub.config.Log.Error("entries of a channel are missing in the database", "channel", ch.id, "after", ch.head, "to", seq)
	ch.head = seq
	ch.ring.reset(&ch.hub.rings)
	maps.DeleteFunc(ch.outOfOrder, func(early chat.Seq, _ chat.Entry) bool { return early <= seq })
}

// subscribe is add for a socket that may open meanwhile: it is served in the state
// given when it is open. Called with mu held.
func (ch *channel) subscribe(s *Socket, cursor, joined chat.Seq, state pairState) *subscription {
	p := ch.add(s, cursor, joined, opening)
	if p != nil && p.state() == opening && s.isOpen() {
		p.become(state)
	}
	return p
}

// add makes a cursor for a socket, unless there is one. Called with mu held.
func (ch *channel) add(s *Socket, cursor, joined chat.Seq, state pairState) *subscription {
	if p := s.subscription(ch); p != nil {
		return p
	}
	p, slot := s.newPair(ch)
	if p == nil {
		return nil
	}
	p.moveTo(cursor)
	p.become(state)
	p.begin(joined)
	if !s.addPair(p, ch.listeners.len()) {
		return nil
	}
	ch.listeners.add(s, slot)
	ch.hub.config.Metrics.Subscriptions.Inc()
	return p
}

// remove takes a cursor out. Called with mu held.
func (ch *channel) remove(p *subscription) {
	at := p.place()
	if at < 0 {
		return
	}
	ch.listener(ch.listeners.len() - 1).setPlace(at)
	ch.listeners.remove(at)
	p.setPlace(-1)
	ch.hub.config.Metrics.Subscriptions.Dec()
}
