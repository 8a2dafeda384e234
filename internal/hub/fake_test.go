package hub_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a log in memory, a hub that reads it, and sockets that can be slow.
type world struct {
	t   *testing.T
	hub *hub.Hub

	mu      sync.Mutex // guards what follows
	logs    map[chat.ID][]chat.Entry
	members map[chat.ID]map[chat.UserID]bool
	calls   map[string]int      // of the store, by method
	fail    bool                // calls of the store fail
	floor   chat.Seq            // the log no longer has changes up to here
	deleted func(chat.Seq) bool // entries that an operator deleted; nil for none
	closed  bool                // calls of the store fail the test
}

func newWorld(t *testing.T, c hub.Config) *world {
	w := &world{
		t:       t,
		logs:    make(map[chat.ID][]chat.Entry),
		members: make(map[chat.ID]map[chat.UserID]bool),
		calls:   make(map[string]int),
	}
	c.Store = w
	w.hub = hub.Start(c)
	t.Cleanup(w.hub.Close)
	return w
}

// call counts a call of the store. It is called with mu held.
func (w *world) call(method string) error {
	w.calls[method]++
	if w.closed {
		w.t.Errorf("the hub called %s of the store", method)
	}
	if w.fail {
		return fmt.Errorf("no database")
	}
	return nil
}

func (w *world) ChannelStates(_ context.Context, user chat.UserID) ([]chat.ChannelState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var states []chat.ChannelState
	for id, members := range w.members {
		if members[user] {
			states = append(states, chat.ChannelState{ID: id, LastSeq: int64(len(w.logs[id])), Role: chat.RoleMember})
		}
	}
	return states, w.call("ChannelStates")
}

func (w *world) Heads(_ context.Context, ids []chat.ID) (map[chat.ID]chat.Seq, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heads := make(map[chat.ID]chat.Seq)
	for _, id := range ids {
		heads[id] = int64(len(w.logs[id]))
	}
	return heads, w.call("Heads")
}

func (w *world) LogTo(_ context.Context, id chat.ID, after chat.Seq, limit int, _ chat.Seq) ([]chat.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.call("LogTo"); err != nil {
		return nil, err
	}
	if after < w.floor {
		return nil, chat.Errorf(chat.Resync, "too old")
	}
	log := w.logs[id]
	entries := slices.Clone(log[after:min(int(after)+limit, len(log))])
	if w.deleted != nil {
		entries = slices.DeleteFunc(entries, func(ev chat.Entry) bool { return w.deleted(ev.Seq) })
	}
	return entries, nil
}

// failOnce makes calls of the store fail until one of a method has failed.
func (w *world) failOnce(method string, cause func()) {
	w.mu.Lock()
	before := w.calls[method]
	w.fail = true
	w.mu.Unlock()
	cause()
	for failed := false; !failed; {
		w.mu.Lock()
		failed = w.calls[method] > before
		w.fail = !failed
		w.mu.Unlock()
	}
}

// write adds entries to the log without publishing them.
func (w *world) write(id chat.ID, entries ...chat.Entry) []chat.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range entries {
		ev := &entries[i]
		ev.ChannelID, ev.Seq = id, int64(len(w.logs[id]))+1
		switch ev.Type {
		case chat.EventMemberJoined:
			w.setMember(id, ev.Subject, true)
		case chat.EventMemberLeft:
			w.setMember(id, ev.Subject, false)
		}
		w.logs[id] = append(w.logs[id], *ev)
	}
	return entries
}

// setMember is called with mu held.
func (w *world) setMember(id chat.ID, user chat.UserID, is bool) {
	if w.members[id] == nil {
		w.members[id] = make(map[chat.UserID]bool)
	}
	w.members[id][user] = is
}

func (w *world) publish(id chat.ID, entries ...chat.Entry) { w.hub.Publish(w.write(id, entries...)) }

// channel creates a channel with members.
func (w *world) channel(users ...chat.UserID) chat.ID {
	id := chat.NewID()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, u := range users {
		w.setMember(id, u, true)
	}
	return id
}

func message(from chat.UserID, text string) chat.Entry {
	return chat.Entry{
		Type: chat.EventMessage, UserID: from,
		Message: &chat.MessageData{ID: chat.NewID(), UserID: from, Content: text},
	}
}

func messages(from chat.UserID, n int) []chat.Entry {
	entries := make([]chat.Entry, n)
	for i := range entries {
		entries[i] = message(from, fmt.Sprint(i))
	}
	return entries
}

// conn is a peer that accepts as many writes as it is set to.
type conn struct {
	socket *hub.Socket

	mu         sync.Mutex // guards what follows
	room       int        // writes that it accepts whole; negative is unlimited
	backlogged bool
	got        []wire
	writes     int
	received   chan struct{}
}

// wire holds what the tests compare of any frame.
type wire struct {
	Type      chat.EventType `json:"type"`
	ChannelID chat.ID        `json:"channel_id"`
	Seq       chat.Seq       `json:"seq"`
	Code      chat.Code      `json:"code"`
	UserID    chat.UserID    `json:"user_id"`
	IsTyping  bool           `json:"is_typing"`
	IsOnline  bool           `json:"is_online"`
	Data      struct {
		Content  string `json:"content"`
		ClientID string `json:"client_id"`
	} `json:"data"`
}

// Write behaves as a socket does: it keeps the write that does not fit, and refuses the
// next one.
func (c *conn) Write(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.backlogged {
		return false
	}
	c.writes++
	if c.room == 0 {
		c.backlogged = true
	} else if c.room > 0 {
		c.room--
	}
	c.got = append(c.got, decode(b)...)
	select {
	case c.received <- struct{}{}:
	default:
	}
	return true
}

func (c *conn) Backlogged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backlogged
}

// stall makes the peer accept a part of one more write.
func (c *conn) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = 0
}

// drain makes the peer accept everything again.
func (c *conn) drain() {
	c.mu.Lock()
	c.room, c.backlogged = -1, false
	c.mu.Unlock()
	c.socket.Writable()
}

// decode decodes unmasked text frames (RFC 6455 section 5.2).
func decode(b []byte) []wire {
	var all []wire
	for len(b) > 0 {
		n, head := int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		var w wire
		if err := json.Unmarshal(b[head:head+n], &w); err != nil {
			panic(err)
		}
		all = append(all, w)
		b = b[head+n:]
	}
	return all
}

// connect opens a socket of the user.
func (w *world) connect(user chat.UserID) *conn {
	w.t.Helper()
	return w.connectAs(user, false)
}

func (w *world) connectAs(user chat.UserID, legacyPage bool) *conn {
	w.t.Helper()
	c := &conn{room: -1, received: make(chan struct{}, 1)}
	s, _, err := w.hub.Attach(w.t.Context(), c, user, 0, legacyPage)
	if err != nil {
		w.t.Fatalf("attach %s: %v", user, err)
	}
	c.socket = s
	s.Open()
	w.t.Cleanup(s.Close)
	return c
}

// frames waits until the peer has received n frames, and returns all it has received.
func (c *conn) frames(t *testing.T, n int) []wire {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		got := append([]wire(nil), c.got...)
		c.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-c.received:
		case <-timeout:
			t.Fatalf("received %d frames, want %d: %+v", len(got), n, got)
		}
	}
}

// wantFrames waits for as many frames as wanted, and compares them.
func (c *conn) wantFrames(t *testing.T, want ...wire) {
	t.Helper()
	equal(t, "frames", c.frames(t, len(want)), want)
}

// messageFrame is what a peer receives of a message.
func messageFrame(channel chat.ID, seq chat.Seq, content string) wire {
	w := wire{Type: chat.EventMessage, ChannelID: channel, Seq: seq}
	w.Data.Content = content
	return w
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// inOrder checks that the frames of one channel are the seqs from first to last, each
// once.
func inOrder(t *testing.T, frames []wire, channel chat.ID, first, last chat.Seq) {
	t.Helper()
	next := first
	for _, f := range frames {
		if f.ChannelID != channel || f.Seq == 0 {
			continue
		}
		if f.Seq != next {
			t.Fatalf("received seq %d, want %d", f.Seq, next)
		}
		next++
	}
	if next != last+1 {
		t.Fatalf("received up to seq %d, want %d", next-1, last)
	}
}
