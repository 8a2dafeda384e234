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
	cache := goleak.IgnoreTopFunction("github.com/maypok86/otter/v2.(*cache[...]).periodicCleanUp")
	if err := goleak.Find(cache); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// testTimeout bounds every wait. Nothing is expected to take that long.
const testTimeout = 20 * time.Second

// drivers returns the drivers of netpoll that this system has.
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

// server is a gateway with the packages it uses, on SQLite. A user's token is their id.
type server struct {
	t        *testing.T
	gateway  *gateway.Gateway
	commands *command.Service
	address  string
}

type options struct {
	limits  gateway.Limits
	poller  netpoll.Options
	deflate int // the size from which events are compressed
	now     func() time.Time
}

func start(t *testing.T, o options) *server {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{URL: "sqlite:" + filepath.Join(t.TempDir(), "chowk.db")})
	if err != nil {
		t.Fatal(err)
	}
	h := hub.Start(hub.Config{Store: db, Deflate: o.deflate})
	j := journal.Start(journal.Config{Store: db, Publisher: h})
	p, err := netpoll.New(o.poller)
	if err != nil {
		t.Fatal(err)
	}
	commands := &command.Service{Journal: j, Store: db, Realtime: h, Now: time.Now}
	metrics := metric.New().Gateway
	metrics.HeldWrites.Every, metrics.HeldWrites.Fatal = 1, true
	g := gateway.New(gateway.Config{
		Commands: commands, Hub: h, Metrics: metrics, Poller: p, Limits: o.limits, Now: o.now,
		Auth: auth.New(auth.Options{Mode: auth.ModeNone, Store: db}), Origins: &auth.OriginPolicy{},
		Epoch: db.Epoch(), Heartbeat: o.poller.Heartbeat, Deflate: o.deflate > 0,
	})
	mux := http.NewServeMux()
	mux.Handle("/ws/{user_id}", g)
	listener := httptest.NewServer(mux)
	t.Cleanup(func() {
		listener.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = g.Close(ctx)
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
		h.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &server{t, g, commands, listener.Listener.Addr().String()}
}

// channel creates a channel and its users.
func (s *server) channel(owner chat.UserID, members ...chat.UserID) string {
	s.t.Helper()
	for _, u := range append(members, owner) {
		s.wantStatus(string(u), http.StatusSwitchingProtocols) // a handshake creates the user
	}
	ch, err := s.commands.CreateChannel(s.t.Context(), command.Caller{Actor: model.UserActor(owner)},
		chat.CreateChannelRequest{Name: "channel", MemberIDs: members})
	if err != nil {
		s.t.Fatal(err)
	}
	return ch.ID.String()
}

// peer is a client that reads and writes frames.
type peer struct {
	t      *testing.T
	conn   *net.TCPConn
	r      *bufio.Reader
	parser frame.Parser
	rest   []byte
}

// handshake sends a handshake with additional headers.
func (s *server) handshake(user string, headers ...string) (*peer, *http.Response) {
	s.t.Helper()
	request := "GET /ws/" + user + " HTTP/1.1\r\nHost: " + s.address + "\r\n" +
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chowk.v1\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	return s.raw(request + "\r\n")
}

// raw sends a request and returns its response.
func (s *server) raw(request string) (*peer, *http.Response) {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(testTimeout))
	if _, err := io.WriteString(nc, request); err != nil {
		s.t.Fatal(err)
	}
	limits := &frame.Limits{Frame: 1 << 20, Message: 1 << 20, Fragments: 10, Client: true}
	p := &peer{t: s.t, conn: nc.(*net.TCPConn), r: bufio.NewReader(nc), parser: frame.Parser{Limits: limits}}
	response, err := http.ReadResponse(p.r, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return p, response
}

// wantStatus sends a handshake and checks its status. A refusal that asks to try again
// must say when.
func (s *server) wantStatus(user string, want int, headers ...string) {
	s.t.Helper()
	_, response := s.handshake(user, headers...)
	if response.StatusCode != want {
		s.t.Fatalf("the handshake of %s was answered with %s, want %d", user, response.Status, want)
	}
	retry := want == http.StatusTooManyRequests || want == http.StatusServiceUnavailable
	if got := response.Header.Get("Retry-After"); retry && got == "" {
		s.t.Errorf("status %d without Retry-After", want)
	}
}

// connect opens a socket and reads its connection frame.
func (s *server) connect(user string) *peer {
	s.t.Helper()
	p, response := s.handshake(user)
	if response.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("the handshake of %s was answered with %s", user, response.Status)
	}
	if m := p.next(); !bytes.Contains(m.Payload, []byte(`"connection"`)) {
		s.t.Fatalf("the first frame is %s, want a connection frame", m.Payload)
	}
	return p
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next message or control frame.
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

// wantClose reads until the close frame, checks its code and closes the connection.
func (p *peer) wantClose(code uint16) {
	p.t.Helper()
	for {
		m, err := p.read()
		if err != nil {
			p.t.Fatalf("the socket ended without a close frame: %v", err)
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

// answer holds the fields of answers that tests check.
type answer struct {
	Type, ID, Code string
	Response       struct{ Status, Code string }
}

// answer returns the next answer to a command.
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

// wantAnswer reads the next answer and compares it.
func (p *peer) wantAnswer(want answer) {
	p.t.Helper()
	if got := p.answer(); got != want {
		p.t.Errorf("got the answer %+v, want %+v", got, want)
	}
}

var mask = [4]byte{0x11, 0x22, 0x33, 0x44}

func masked(op frame.Opcode, payload string) []byte {
	return frame.AppendMasked(nil, op, []byte(payload), mask)
}

// fragment returns a frame that does not end its message.
func fragment(op frame.Opcode, payload string) []byte {
	b := masked(op, payload)
	b[0] &^= 0x80
	return b
}

func ping(id string) string { return `{"type":"ping","id":"` + id + `"}` }

func pong(id string) answer { return answer{Type: "pong", ID: id} }

func refused(id string, code chat.Code) answer {
	return answer{Type: "error", ID: id, Code: string(code)}
}

// ping sends the command ping and reads its answer.
func (p *peer) ping(id string) {
	p.t.Helper()
	p.write(masked(frame.OpText, ping(id)))
	p.wantAnswer(pong(id))
}

// await waits until f reports what another goroutine brings about.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(testTimeout); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }
