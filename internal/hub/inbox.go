package hub

import (
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// inbox holds what is published to a channel until the fan-out gets to it.
type inbox struct {
	mu         sync.Mutex // guards what follows
	entries    []chat.Entry
	since      time.Time // when the first of them was published
	overflow   chat.Seq  // the last entry that did not fit and must be read from the log
	transients []transient
	traced     []tracedEntry
}

const (
	maxInbox      = 1024 // entries that wait for the fan-out; more are read from the log
	maxTransients = 128  // more are dropped
)

// transient is an event outside the log, such as typing. Only the latest one about a
// user counts, and a socket that cannot accept it now does without it.
type transient struct {
	kind     chat.EventType
	user     chat.UserID // the user it is about
	skipUser bool        // do not send it to that user
	frame    []byte
}

// published is what the fan-out receives from an inbox at a time.
type published struct {
	entries  []chat.Entry
	overflow chat.Seq
	since    time.Time
	traced   bool // a fan-out is traced
}

// enqueue adds an entry, or notes that it must be read from the log.
func (ch *channel) enqueue(ev chat.Entry) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.entries) >= maxInbox || in.overflow > 0 {
		in.overflow = max(in.overflow, ev.Seq)
		return
	}
	if len(in.entries) == 0 {
		in.since = ch.hub.config.Now()
	}
	in.entries = append(in.entries, ev)
}

// dequeue returns what enqueue has added since the last call.
func (ch *channel) dequeue() published {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	p := published{entries: in.entries, overflow: in.overflow, since: in.since, traced: len(in.traced) > 0}
	in.entries, in.overflow, in.since = nil, 0, time.Time{}
	return p
}

// enqueueTransient adds a transient event, which replaces an earlier one of its kind
// about the same user.
func (ch *channel) enqueueTransient(t transient) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range in.transients {
		if old := &in.transients[i]; old.kind == t.kind && old.user == t.user {
			*old = t
			return
		}
	}
	if len(in.transients) < maxTransients {
		in.transients = append(in.transients, t)
	}
}

// transientInterval is the time between two deliveries of transient events to a
// channel: a second's typing and receipts are one write each.
const transientInterval = time.Second

// dequeueTransients returns the transient events. If the last delivery was less than
// transientInterval ago it returns none, and wait reports whether there are any.
// Called with mu held.
func (ch *channel) dequeueTransients(now time.Time) (transients []transient, wait bool) {
	in := &ch.inbox
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.transients) == 0 {
		return nil, false
	}
	if now.Sub(ch.transientAt) < transientInterval {
		return nil, true
	}
	ch.transientAt = now
	transients, in.transients = in.transients, nil
	return transients, false
}
