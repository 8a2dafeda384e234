package hub

import (
	"maps"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
)

// channel is a channel that has listeners on this node.
type channel struct {
	id  chat.ID
	hub *Hub

	mu          sync.Mutex // guards what follows, except inbox
	head        chat.Seq   // the last entry that is known here without a gap before it
	headKnown   bool       // head is valid
	beyondGap   chat.Seq   // the last entry that exists beyond a gap after head, 0 for none
	ring        ring
	listeners   compact.SlotList[*Socket]
	outOfOrder  map[chat.Seq]chat.Entry // entries beyond the gap; nil for none
	gone        bool                    // evicted from the hub: get another one by withChannel
	transientAt time.Time               // the last delivery of transient events

	inbox inbox
}

// observeHead notes that the channel's head is at least seq. It reports whether
// entries are missing here that were not known to be missing.
func (ch *channel) observeHead(seq chat.Seq) (missing bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.headKnown {
		ch.headKnown, ch.head = true, seq
		return false
	}
	missing = seq > max(ch.head, ch.beyondGap)
	if seq > ch.head {
		ch.beyondGap = max(ch.beyondGap, seq)
	}
	return missing
}

// append adds an entry that follows the head, and the entries that were out of order
// and follow it. It keeps an entry beyond a gap for later, and ignores a known one.
// Called with mu held.
func (ch *channel) append(ev *chat.Entry) {
	switch {
	case ev.Seq <= ch.head:
		return
	case ev.Seq > ch.head+1:
		ch.keepOutOfOrder(ev)
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

const (
	maxOutOfOrder = 64 // entries of one channel; more are read from the log
	// gapDelay is how long a missing entry may arrive by itself before it is read
	// from the log. When two nodes commit to a channel one after the other, the entry
	// of the second often arrives first.
	gapDelay = 25 * time.Millisecond
)

// keepOutOfOrder stores an entry beyond a gap. A single node stores none: what it
// misses does not arrive by itself. Called with mu held.
func (ch *channel) keepOutOfOrder(ev *chat.Entry) {
	ch.beyondGap = max(ch.beyondGap, ev.Seq)
	if ch.hub.isSingleNode() || len(ch.outOfOrder) >= maxOutOfOrder {
		return
	}
	if ch.outOfOrder == nil {
		ch.outOfOrder = make(map[chat.Seq]chat.Entry, 1)
	}
	ch.outOfOrder[ev.Seq] = *ev
}

// appendNext adds the entry after the head. Called with mu held.
func (ch *channel) appendNext(ev *chat.Entry) {
	ch.head = ev.Seq
	if ch.ring.push(ch.hub.encode(ev), &ch.hub.rings) {
		ch.hub.overBudget.Put(struct{}{})
	}
	for _, u := range ev.JoinedUsers() {
		ch.hub.memberJoined(ch, u, ev.Seq)
	}
	if u := ev.LeftUser(); u != "" {
		ch.hub.memberLeft(ch, u)
	}
}

// skipTo moves the head to a seq up to which the log has no more entries: an operator
// deleted rows. Subscriptions before it are behind, and the readers send them a
// resync. Called with mu held.
func (ch *channel) skipTo(seq chat.Seq) {
	if seq <= ch.head {
		return
	}
	ch.hub.config.Log.Error("entries of a channel are missing from the database",
		"channel", ch.id, "after", ch.head, "to", seq)
	ch.head = seq
	ch.ring.reset(&ch.hub.rings)
	maps.DeleteFunc(ch.outOfOrder, func(early chat.Seq, _ chat.Entry) bool { return early <= seq })
}

// subscribe is add for a socket that may open at the same time: the subscription has
// the given state if the socket is open. Called with mu held.
func (ch *channel) subscribe(s *Socket, cursor, joined chat.Seq, state servingState) *subscription {
	sub := ch.add(s, cursor, joined, opening)
	if sub != nil && sub.State() == opening && s.isOpen() {
		sub.SetState(state)
	}
	return sub
}

// add returns the socket's subscription, which it creates if there is none; nil when
// the socket is closed. Called with mu held.
func (ch *channel) add(s *Socket, cursor, joined chat.Seq, state servingState) *subscription {
	if sub := s.subscriptionTo(ch); sub != nil {
		return sub
	}
	sub, slot := s.newSubscription(ch)
	if sub == nil {
		return nil
	}
	sub.SetSeq(cursor)
	sub.SetState(state)
	sub.Join(joined)
	if !s.addSubscription(sub, ch.listeners.Len()) {
		return nil
	}
	ch.listeners.Add(s, slot)
	ch.hub.config.Metrics.Subscriptions.Inc()
	return sub
}

// remove removes a subscription from the listeners, if it is one of them. Called with
// mu held.
func (ch *channel) remove(sub *subscription) {
	if !sub.isListening() {
		return
	}
	i := sub.Index()
	ch.listener(ch.listeners.Len() - 1).SetIndex(i)
	ch.listeners.Remove(i)
	sub.SetIndex(-1)
	ch.hub.config.Metrics.Subscriptions.Dec()
}

// listener returns the listener at an index. Called with mu held.
func (ch *channel) listener(i int) listener {
	s, slot := ch.listeners.At(i)
	return listener{s.subscriptionAt(ch, slot), s}
}
