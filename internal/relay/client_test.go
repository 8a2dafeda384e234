package relay_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/go-json-experiment/json"
)

// conn is a client that takes everything.
type conn struct {
	t      testing.TB
	user   chat.UserID
	socket *hub.Socket
	once   sync.Once
	told   func(wire) // nil but where it is to be quick

	mu  sync.Mutex // guards what follows
	got []wire
}

// wire is what a client sees of any frame.
type wire struct {
	Type      chat.EventType `json:"type"`
	ChannelID chat.ID        `json:"channel_id"`
	Seq       chat.Seq       `json:"seq"`
	UserID    chat.UserID    `json:"user_id"`
	IsTyping  bool           `json:"is_typing"`
	IsOnline  bool           `json:"is_online"`
	LastRead  chat.Seq       `json:"last_read_seq"`
	Data      struct {
		Content string `json:"content"`
	} `json:"data"`
}

func (c *conn) Write(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(b) > 0 { // unmasked text frames
		n, head := int(b[1]), 2
		switch n {
		case 126:
			n, head = int(binary.BigEndian.Uint16(b[2:])), 4
		case 127:
			n, head = int(binary.BigEndian.Uint64(b[2:])), 10
		}
		var w wire
		if err := json.Unmarshal(b[head:head+n], &w); err != nil {
			c.t.Error(err)
			return true
		}
		if c.told != nil {
			c.told(w)
		} else {
			c.got = append(c.got, w)
		}
		b = b[head+n:]
	}
	return true
}

func (c *conn) Backlogged() bool { return false }

func (n *node) connect(user chat.UserID) *conn {
	n.t.Helper()
	c := &conn{t: n.t, user: user}
	s, _, err := n.hub.Attach(n.t.Context(), c, user, 0, false)
	if err != nil {
		n.t.Fatal(err)
	}
	c.socket = s
	s.Open()
	n.t.Cleanup(c.close)
	return c
}

func (c *conn) close() { c.once.Do(c.socket.Close) }

func (c *conn) frames() []wire {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wire(nil), c.got...)
}

// seen waits for a frame.
func (c *conn) seen(what string, is func(wire) bool) wire {
	c.t.Helper()
	var found wire
	until(c.t, fmt.Sprintf("%s is told %s", c.user, what), func() bool {
		for _, w := range c.frames() {
			if is(w) {
				found = w
				return true
			}
		}
		return false
	})
	return found
}

// hears waits for an entry, and checks that all up to it came once and in order.
func (c *conn) hears(channel chat.ID, from, to chat.Seq) {
	c.t.Helper()
	c.seen(fmt.Sprintf("entry %d", to), func(w wire) bool { return w.ChannelID == channel && w.Seq == to })
	next := from
	for _, w := range c.frames() {
		if w.ChannelID != channel || w.Seq == 0 || w.Seq < from {
			continue
		}
		if w.Seq != next {
			c.t.Fatalf("%s got entry %d, want %d", c.user, w.Seq, next)
		}
		next++
	}
}
