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

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a log in memory, a hub over it, and sockets that can be made slow.
type world struct {
	t   *testing.T
	hub *hub.Hub

	mu      sync.Mutex
	logs    map[chat.ID][]chat.Entry
	members map[chat.ID]map[chat.UserID]bool
	asked   map[string]int
	fail    bool
	floor   chat.Seq            // what the log has forgotten
	lost    func(chat.Seq) bool // entries that somebody deleted; nil for none
	closed  bool
}

func newWorld(t *testing.T, c hub.Config) *world {
	w := &world{
		t: t, logs: make(map[chat.ID][]chat.Entry), members: make(map[chat.ID]map[chat.UserID]bool), asked: make(map[string]int),
	}
	c.Store = w
	w.hub = hub.Start(c)
	t.Cleanup(w.hub.Close)
	return w
}

func (w *world) count(what string) error {
	w.asked[what]++
	if w.closed {
		w.t.Errorf("the store was asked for %s", what)
	}
	if w.fail {
		return fmt.Errorf("no database")
	}
	return nil
}

func (w *world) ChannelStates(_ context.Context, user chat.UserID) ([]chat.ChannelState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var s []chat.ChannelState
	for id, members := range w.members {
		if members[user] {
			s = append(s, chat.ChannelState{ID: id, LastSeq: int64(len(w.logs[id])), Role: chat.RoleMember})
		}
	}
	return s, w.count("standings")
}

func (w *world) Heads(_ context.Context, ids []chat.ID) (map[chat.ID]chat.Seq, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heads := make(map[chat.ID]chat.Seq)
	for _, id := range ids {
		heads[id] = int64(len(w.logs[id]))
	}
	return heads, w.count("heads")
}

func (w *world) LogTo(_ context.Context, id chat.ID, after chat.Seq, limit int, _ chat.Seq) ([]chat.Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.count("log"); err != nil {
		return nil, err
	}
	if after < w.floor {
		return nil, chat.Errorf(chat.Resync, "forgotten")
	}
	log := w.logs[id]
	some := slices.Clone(log[after:min(int(after)+limit, len(log))])
	if w.lost != nil {
		some = slices.DeleteFunc(some, func(ev chat.Entry) bool { return w.lost(ev.Seq) })
	}
	return some, nil
}

// write adds entries to the log without telling the hub.
func (w *world) write(id chat.ID, events ...chat.Entry) []chat.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		ev := &events[i]
		ev.ChannelID, ev.Seq = id, int64(len(w.logs[id]))+1
		switch ev.Type {
		case chat.EventMemberJoined:
			w.member(id, ev.Subject, true)
		case chat.EventMemberLeft:
			w.member(id, ev.Subject, false)
		}
		w.logs[id] = append(w.logs[id], *ev)
	}
	return events
}

func (w *world) member(id chat.ID, user chat.UserID, is bool) {
	if w.members[id] == nil {
		w.members[id] = make(map[chat.UserID]bool)
	}
	w.members[id][user] = is
}

func (w *world) publish(id chat.ID, events ...chat.Entry) { w.hub.Publish(w.write(id, events...)) }

func (w *world) channel(users ...chat.UserID) chat.ID {
	id := chat.NewID()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.member(id, "nobody", false)
	for _, u := range users {
		w.member(id, u, true)
	}
	return id
}

func message(from chat.UserID, text string) chat.Entry {
	return chat.Entry{Type: chat.EventMessage, UserID: from, Message: &chat.Message{ID: chat.NewID(), UserID: from, Content: text}}
}

func messages(from chat.UserID, n int) []chat.Entry {
	events := make([]chat.Entry, n)
	for i := range events {
		events[i] = message(from, fmt.Sprint(i))
	}
	return events
}

// conn is a peer: it takes what it is told to take.
type conn struct {
	socket *hub.Socket

	mu     sync.Mutex
	room   int // writes that it still takes; negative is any number
	rest   bool
	got    []wire
	writes int
	news   chan struct{}
}

// wire is what a client sees of any frame.
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

// Write behaves as a socket does: the write that does not fit is kept, and the
// next is refused.
func (c *conn) Write(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rest {
		return false
	}
	c.writes++
	if c.room == 0 {
		c.rest = true
	} else if c.room > 0 {
		c.room--
	}
	c.got = append(c.got, decode(b)...)
	select {
	case c.news <- struct{}{}:
	default:
	}
	return true
}

func (c *conn) Backlogged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rest
}

// stall makes the peer take one more write, half of it.
func (c *conn) stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = 0
}

// drain makes the peer take everything again.
func (c *conn) drain() {
	c.mu.Lock()
	c.room, c.rest = -1, false
	c.mu.Unlock()
	c.socket.Writable()
}

// decode reads unmasked text frames (RFC 6455 section 5.2).
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

func (w *world) connectAs(user chat.UserID, oldPage bool) *conn {
	w.t.Helper()
	c := &conn{room: -1, news: make(chan struct{}, 1)}
	s, _, err := w.hub.Attach(w.t.Context(), c, user, 0, oldPage)
	if err != nil {
		w.t.Fatalf("attach %s: %v", user, err)
	}
	c.socket = s
	s.Open()
	w.t.Cleanup(s.Close)
	return c
}

// frames waits until the peer has been sent as many frames as asked for.
func (c *conn) frames(t *testing.T, n int) []wire {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		got := append([]wire(nil), c.got...)
		c.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-c.news:
		case <-deadline:
			t.Fatalf("got %d frames, want %d: %+v", len(got), n, got)
		}
	}
}

// inOrder checks that the frames of one channel are the seqs from first to last,
// each once.
func inOrder(t *testing.T, frames []wire, channel chat.ID, first, last chat.Seq) {
	t.Helper()
	next := first
	for _, f := range frames {
		if f.ChannelID != channel || f.Seq == 0 {
			continue
		}
		if f.Seq != next {
			t.Fatalf("got seq %d, want %d", f.Seq, next)
		}
		next++
	}
	if next != last+1 {
		t.Fatalf("got up to seq %d, want %d", next-1, last)
	}
}
