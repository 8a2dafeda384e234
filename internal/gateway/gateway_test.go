package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/store"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(goleak.IgnoreTopFunction("github.com/maypok86/otter/v2.(*cache[...]).periodicCleanUp")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// graceBatches bounds every wait; nothing is expected to take that long.
const graceBatches = 20 * time.Second

// drivers are those that there are here.
func drivers() []netpoll.Driver {
	p, err := netpoll.New(netpoll.Options{Driver: netpoll.Epoll})
	if err != nil {
		return []netpoll.Driver{netpoll.Goroutine}
	}
	_ = p.Close(context.Background())
	return []netpoll.Driver{netpoll.Epoll, netpoll.Goroutine}
}

// each runs a test with every driver.
func each(t *testing.T, test func(t *testing.T, d netpoll.Driver)) {
	t.Helper()
	for _, d := range drivers() {
		t.Run(string(d), func(t *testing.T) { test(t, d) })
	}
}

// door is a gateway with all the rooms below it, on SQLite, where a token is a user
// id.
type door struct {
	t       *testing.T
	gateway *gateway.Gateway
	rules   *command.Service
	address string
}

type options struct {
	limits  gateway.Limits
	poller  netpoll.Options
	deflate int // the size from which events are compressed
	now     func() time.Time
}

func open(t *testing.T, o options) *door {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "chowk.db")})
	if err != nil {
		t.Fatal(err)
	}
	live := hub.Start(hub.Config{Store: db, Deflate: o.deflate})
	writer := journal.Start(journal.Config{Store: db, Publisher: live})
	p, err := netpoll.New(o.poller)
	if err != nil {
		t.Fatal(err)
	}
	rules := &command.Service{Journal: writer, Store: db, Realtime: live, Now: time.Now}
	numbers := metric.New().Gateway
	numbers.Held.Every, numbers.Held.Fatal = 1, true
	g := gateway.New(gateway.Config{
		Rules: rules, Hub: live, Metrics: numbers,
		Auth: auth.New(auth.Options{Mode: auth.ModeNone, Store: db}), Door: &auth.OriginPolicy{}, Poller: p, Limits: o.limits, Now: o.now,
		Epoch: db.Epoch(), Heartbeat: o.poller.Heartbeat, Deflate: o.deflate > 0,
	})
	mux := http.NewServeMux()
	mux.Handle("/ws/{user_id}", g)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = g.Close(ctx)
		if err := writer.Close(context.Background()); err != nil {
			t.Error(err)
		}
		live.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &door{t, g, rules, server.Listener.Addr().String()}
}

// channel makes one of the users.
func (d *door) channel(owner chat.UserID, members ...chat.UserID) string {
	d.t.Helper()
	for _, u := range append(members, owner) {
		if _, response := d.handshake(string(u)); response.StatusCode != http.StatusSwitchingProtocols { // so that the user exists
			d.t.Fatal(response.Status)
		}
	}
	ch, err := d.rules.CreateChannel(d.t.Context(), command.Caller{Actor: model.UserActor(owner)}, chat.CreateChannelRequest{Name: "channel", MemberIDs: members})
	if err != nil {
		d.t.Fatal(err)
	}
	return ch.ID.String()
}

// peer is a client that speaks frames.
type peer struct {
	t      *testing.T
	conn   *net.TCPConn
	r      *bufio.Reader
	parser frame.Parser
	rest   []byte
}

// request is a handshake; lines are added to it, or replace it when it is raw.
func (d *door) handshake(user string, lines ...string) (*peer, *http.Response) {
	d.t.Helper()
	head := "GET /ws/" + user + " HTTP/1.1\r\nHost: " + d.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chowk.v1\r\n"
	for _, l := range lines {
		head += l + "\r\n"
	}
	return d.raw(head + "\r\n")
}

func (d *door) raw(request string) (*peer, *http.Response) {
	d.t.Helper()
	nc, err := net.Dial("tcp", d.address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(graceBatches))
	if _, err := io.WriteString(nc, request); err != nil {
		d.t.Fatal(err)
	}
	p := &peer{
		t: d.t, conn: nc.(*net.TCPConn), r: bufio.NewReader(nc),
		parser: frame.Parser{Limits: &frame.Limits{Frame: 1 << 20, Message: 1 << 20, Fragments: 10, Client: true}},
	}
	response, err := http.ReadResponse(p.r, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
	return p, response
}

// connect opens a socket and reads its connection frame.
func (d *door) connect(user string) *peer {
	d.t.Helper()
	p, response := d.handshake(user)
	if response.StatusCode != http.StatusSwitchingProtocols {
		d.t.Fatalf("the handshake was answered %s", response.Status)
	}
	if m := p.next(); !bytes.Contains(m.Payload, []byte(`"connection"`)) {
		d.t.Fatalf("the first frame is %s", m.Payload)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next is the next frame.
func (p *peer) next() frame.Message {
	p.t.Helper()
	m, err := p.read()
	if err != nil {
		p.t.Fatalf("read a frame: %v", err)
	}
	return m
}

func (p *peer) read() (frame.Message, error) {
	for {
		if len(p.rest) > 0 {
			n, m, err := p.parser.Next(p.rest)
			p.rest = p.rest[n:]
			if err != nil || m.Opcode != frame.OpNone {
				return m, err
			}
		}
		b := make([]byte, 64<<10)
		n, err := p.r.Read(b)
		if err != nil {
			return frame.Message{}, err
		}
		p.rest = append(p.rest, b[:n]...)
	}
}

// closedWith reads until the close frame, and answers it; its code must be as given.
func (p *peer) closedWith(code uint16) {
	p.t.Helper()
	for {
		m, err := p.read()
		if err != nil {
			p.t.Fatalf("it ended without a close frame: %v", err)
		}
		if m.Opcode != frame.OpClose {
			continue
		}
		if m.Code != code {
			p.t.Errorf("closed with %d (%s), want %d", m.Code, m.Payload, code)
		}
		break
	}
	_ = p.conn.CloseWrite()
	if _, err := io.Copy(io.Discard, p.r); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Errorf("after the close frame: %v", err)
	}
}

// answer is what matters of the server's answers.
type answer struct {
	Type, ID, Code, Message string
	Response                struct{ Status, Code string }
}

func (p *peer) answer() (a answer) {
	p.t.Helper()
	for {
		m := p.next()
		if m.Opcode != frame.OpText {
			continue
		}
		a = answer{}
		if err := json.Unmarshal(m.Payload, &a); err != nil {
			p.t.Fatalf("%v in %s", err, m.Payload)
		}
		if a.Type == "pong" || a.Type == "ack" || a.Type == "error" {
			return a
		}
	}
}

var mask = [4]byte{0x11, 0x22, 0x33, 0x44}

func masked(op frame.Opcode, payload string) []byte {
	return frame.AppendMasked(nil, op, []byte(payload), mask)
}

// part is a fragment that does not end its message.
func part(op frame.Opcode, payload string) []byte {
	b := masked(op, payload)
	b[0] &^= 0x80
	return b
}

func ping(id string) string { return `{"type":"ping","id":"` + id + `"}` }

func (p *peer) pings(id string) {
	p.t.Helper()
	p.write(masked(frame.OpText, ping(id)))
	if a := p.answer(); a.Type != "pong" || a.ID != id {
		p.t.Fatalf("a ping was answered %+v", a)
	}
}

// await waits for something that another goroutine brings about.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(graceBatches); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }
