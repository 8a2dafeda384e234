//go:build !windows

package alerts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// users are clients that use a server until the test ends, whatever it answers.
type users struct {
	t      *testing.T
	server *server
	ctx    context.Context
	leave  func() // stops all clients and closes their sockets
	all    sync.WaitGroup
}

func newUsers(t *testing.T, s *server) *users {
	ctx, cancel := context.WithCancel(context.Background())
	c := &users{t: t, server: s, ctx: ctx}
	c.leave = func() {
		cancel()
		c.all.Wait()
	}
	t.Cleanup(c.leave)
	return c
}

// each does something repeatedly.
func (c *users) each(pause time.Duration, do func(ctx context.Context)) {
	c.all.Go(func() { // ends with the test
		t := time.NewTicker(pause)
		defer t.Stop()
		for c.ctx.Err() == nil {
			do(c.ctx)
			select {
			case <-t.C:
			case <-c.ctx.Done():
			}
		}
	})
}

// call calls the REST API.
func (c *users) call(ctx context.Context, user, method, path string, body, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.server.address+"/api/v1"+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+user)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// channel creates a channel of n users, u0 to u(n-1).
func (c *users) channel(n int) chat.ID {
	c.t.Helper()
	var others []chat.UserID
	for i := range n {
		if err := c.call(c.ctx, user(i), "GET", "/channels/", nil, nil); err != nil {
			c.t.Fatal(err)
		}
		if i > 0 {
			others = append(others, chat.UserID(user(i)))
		}
	}
	var made struct {
		ID chat.ID `json:"id"`
	}
	if err := c.call(c.ctx, user(0), "POST", "/channels/", chat.CreateChannelRequest{
		Name: "a channel", IsPrivate: true,
		MemberIDs: others,
	}, &made); err != nil {
		c.t.Fatal(err)
	}
	return made.ID
}

func user(i int) string { return fmt.Sprint("u", i) }

// send lets n users send a message each pause, without waiting for answers, and
// reconnect when they are disconnected.
func (c *users) send(n int, channel chat.ID, pause time.Duration, size int) {
	content := string(bytes.Repeat([]byte("x"), size))
	for i := range n {
		var p *peer
		c.each(pause, func(context.Context) {
			if p == nil {
				var err error
				if p, err = c.open(user(i)); err != nil {
					return
				}
				c.all.Go(p.discard) // ends with the socket
			}
			id := chat.NewID().String()
			if err := p.command("new_message", id, chat.SendRequest{
				ChannelID: channel, MessageBody: chat.MessageBody{Content: content, ClientID: id},
			}); err != nil {
				_ = p.conn.Close()
				p = nil
			}
		})
	}
}

// search lets n users search for others, which the database has to answer.
func (c *users) search(n int, pause time.Duration) {
	for i := range n {
		c.each(pause, func(ctx context.Context) { _ = c.call(ctx, user(i), "GET", "/users?query=u", nil, nil) })
	}
}

// read lets n users load the newest page of a channel.
func (c *users) read(n int, channel chat.ID, pause time.Duration) {
	for i := range n {
		c.each(pause, func(ctx context.Context) {
			_ = c.call(ctx, user(i), "GET", "/channels/"+channel.String()+"/messages", nil, nil)
		})
	}
}

// visit lets a user open and close sockets, one each pause.
func (c *users) visit(pause time.Duration) {
	c.each(pause, func(context.Context) {
		if p, err := c.open("visitor"); err == nil {
			_ = p.frame(opClose, []byte{0x03, 0xe8}) // close code 1000
			p.discard()
		}
	})
}

// stay opens n sockets that read what they are sent. They are open when it returns, and
// closed when the test ends.
func (c *users) stay(n int, user func(i int) string) []*peer {
	c.t.Helper()
	return c.openAll(n, func(i int) (*peer, error) { return c.open(user(i)) })
}

// openAll does so with any kind of socket.
func (c *users) openAll(n int, open func(i int) (*peer, error)) []*peer {
	c.t.Helper()
	var mu sync.Mutex
	var peers []*peer
	c.live(func() []*peer {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(peers)
	})
	for i := range n {
		p, err := open(i)
		if err != nil {
			c.t.Fatalf("open socket %d: %v", i, err)
		}
		c.all.Go(p.discard) // ends with the socket
		mu.Lock()
		peers = append(peers, p)
		mu.Unlock()
	}
	return peers
}

// open opens a socket, which is closed when the test ends.
func (c *users) open(user string) (*peer, error) {
	p, err := dial(c.ctx, c.server, user)
	if err == nil {
		context.AfterFunc(c.ctx, func() { _ = p.conn.Close() })
	}
	return p, err
}

// live lets sockets send something every half second.
func (c *users) live(peers func() []*peer) {
	c.each(500*time.Millisecond, func(context.Context) {
		for _, p := range peers() {
			_ = p.frame(opPong, nil)
		}
	})
}

// peer is a socket without any behavior of its own: it answers no ping.
type peer struct {
	conn   net.Conn
	reader *bufio.Reader
	mu     sync.Mutex // one writes at a time
}

// The opcodes of RFC 6455 that are sent here.
const (
	opText  = 0x1
	opClose = 0x8
	opPong  = 0xA
	final   = 0x80
)

func dial(ctx context.Context, s *server, user string) (*peer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, err
	}
	p := &peer{conn: conn, reader: bufio.NewReaderSize(conn, 4096)}
	until, _ := ctx.Deadline()
	_ = conn.SetDeadline(until)
	_, err = fmt.Fprintf(conn,
		"GET /api/v1/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nAuthorization: Bearer %s\r\n\r\n",
		s.address, chat.Protocol, user)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(p.reader, nil)
	}
	if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
		err = fmt.Errorf("the server answers the handshake with %s", resp.Status)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return p, nil
}

// frame sends a complete message.
func (p *peer) frame(opcode byte, payload []byte) error {
	return p.write(final|opcode, payload)
}

// write sends a frame with the first byte given, masked with zeros.
func (p *peer) write(first byte, payload []byte) error {
	head := []byte{first}
	switch n := len(payload); {
	case n < 126:
		head = append(head, 0x80|byte(n))
	case n < 1<<16:
		head = append(head, 0x80|126, byte(n>>8), byte(n))
	default:
		head = append(head, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := p.conn.Write(append(append(head, 0, 0, 0, 0), payload...))
	return err
}

func (p *peer) command(kind, id string, data any) error {
	b, err := json.Marshal(map[string]any{"type": kind, "id": id, "data": data})
	if err != nil {
		return err
	}
	return p.frame(opText, b)
}

// discard reads until the socket ends.
func (p *peer) discard() {
	_, _ = io.Copy(io.Discard, p.reader)
	_ = p.conn.Close()
}
