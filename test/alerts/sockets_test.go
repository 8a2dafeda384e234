//go:build !windows

package alerts

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/client"
)

var socketFaults = []fault{
	{
		name: "a node is nearly full", what: "18 sockets with a limit of 20", fires: []string{"ChowkSocketsNearLimit"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--limits.sockets=20")
			return func() func() {
				peers := newUsers(t, s).stay(18, user)
				return func() { closeAll(peers) }
			}
		},
	},
	{
		name: "a node is full", what: "20 sockets with a limit of 20, and further attempts",
		fires: []string{"ChowkHandshakesRefused"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--limits.sockets=20", "--canary.interval=0")
			c := newUsers(t, s)
			c.visit(100 * time.Millisecond)
			return func() func() {
				var peers []*peer
				for len(peers) < 20 { // the visitors come and go
					if p, err := c.open(user(len(peers))); err == nil {
						peers = append(peers, p)
					}
				}
				c.live(func() []*peer { return peers })
				return func() { closeAll(peers) }
			}
		},
	},
	{
		name: "clients reconnect in a loop", what: "30 handshakes a second, after 1 a second for more than an hour",
		fires: []string{"ChowkReconnectStorm"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t))
			newUsers(t, s).visit(time.Second)
			st.after(75 * time.Minute)
			return func() func() {
				storm := newUsers(t, s)
				for range 3 {
					storm.visit(100 * time.Millisecond)
				}
				return storm.leave
			}
		},
	},
	{
		name: "sockets are cut silently", what: "two sockets a second that become silent",
		fires: []string{"ChowkHalfOpenSockets"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t))
			newUsers(t, s).visit(2 * time.Second)
			return func() func() {
				c := newUsers(t, s)
				c.each(500*time.Millisecond, func(context.Context) { _, _ = c.open("silent") })
				return c.leave
			}
		},
	},
	{
		name: "clients read slowly",
		what: "10 of 110 sockets take 40 KB a second of 500 " +
			"(a socket that accepts nothing at all is closed after two heartbeats)",
		fires: []string{"ChowkSocketsBacklogged"},
		setup: func(t *testing.T, st *scene) func() func() {
			s := st.serve(t, sqlite(t), "--limits.sockets-per-user=0")
			c := newUsers(t, s)
			channel := c.channel(2)
			c.stay(100, user)
			c.send(1, channel, 20*time.Millisecond, 10_000)
			return func() func() {
				slow := newUsers(t, s)
				var peers []*peer
				for range 10 {
					p, err := slow.open(user(1))
					if err != nil {
						t.Fatal(err)
					}
					if err := p.conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
						t.Fatal(err)
					}
					peers = append(peers, p)
					slow.each(100*time.Millisecond, func(context.Context) { _, _ = io.CopyN(io.Discard, p.reader, 4<<10) })
				}
				slow.live(func() []*peer { return peers })
				return slow.leave
			}
		},
	},
}

func closeAll(peers []*peer) {
	for _, p := range peers {
		_ = p.conn.Close()
	}
}

// reconnecting opens the sockets of clients that reconnect and resume, and returns when
// they have something to resume from.
func reconnecting(t *testing.T, s *server) {
	c := newUsers(t, s)
	channel := c.channel(3)
	for i := range 3 {
		cl, err := client.Dial(t.Context(), client.Options{URL: "http://" + s.address, Token: client.StaticToken(user(i))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cl.Close() })
		if _, err := cl.Send(t.Context(), client.Message{ChannelID: channel, Content: "hello"}); err != nil {
			t.Fatal(err)
		}
		if _, err := cl.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// half opens a socket and sends the first half of a message.
func (c *users) half(user string, size int) (*peer, error) {
	p, err := c.open(user)
	if err == nil {
		err = p.write(opText, bytes.Repeat([]byte(" "), size))
	}
	return p, err
}
