package relay_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

// conn is a client that accepts everything.
type conn struct {
	t        testing.TB
	user     chat.UserID
	socket   *hub.Socket
	once     sync.Once
	received func(wire) // called instead of keeping frames; nil in most tests

	mu  sync.Mutex // guards what follows
	got []wire
}

// wire holds what the tests compare of any frame.
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
		if c.received != nil {
			c.received(w)
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

// await waits for a frame.
func (c *conn) await(what string, matches func(wire) bool) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("%s is sent %s", c.user, what), func() bool {
		for _, w := range c.frames() {
			if matches(w) {
				return true
			}
		}
		return false
	})
}

// awaitEntries waits for an entry, and checks that all entries from one up to it came
// once and in order.
func (c *conn) awaitEntries(channel chat.ID, from, to chat.Seq) {
	c.t.Helper()
	c.await(fmt.Sprintf("entry %d", to), func(w wire) bool { return w.ChannelID == channel && w.Seq == to })
	next := from
	for _, w := range c.frames() {
		if w.ChannelID != channel || w.Seq == 0 || w.Seq < from {
			continue
		}
		if w.Seq != next {
			c.t.Fatalf("%s is sent entry %d, want %d", c.user, w.Seq, next)
		}
		next++
	}
}

// awaitPresence waits until the client is notified of a user's presence.
func (c *conn) awaitPresence(user chat.UserID, online bool) {
	c.t.Helper()
	c.await(fmt.Sprintf("that online is %v for %s", online, user), isPresence(user, online))
}

func isPresence(user chat.UserID, online bool) func(wire) bool {
	return func(w wire) bool {
		return w.Type == chat.EventPresence && w.UserID == user && w.IsOnline == online
	}
}

// checkNotSent checks that the client was sent no message with a content.
func (c *conn) checkNotSent(content string) {
	c.t.Helper()
	for _, w := range c.frames() {
		if w.Data.Content == content {
			c.t.Errorf("%s is sent the message %q", c.user, content)
		}
	}
}
