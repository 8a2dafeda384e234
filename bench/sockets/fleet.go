package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

// fleet is many client sockets. They use chowk's own poller, because a goroutine for
// each would take CPU time from the server.
type fleet struct {
	poller *netpoll.Poller
	on     func(s *sock, payload []byte) // for every text message
	number int32
	later  atomic.Int64 // times that a socket was asked to come back later
}

var fleets atomic.Int32

// sock is one client socket.
type sock struct {
	fleet  *fleet
	conn   atomic.Pointer[netpoll.Conn]
	parser frame.Parser
	stuck  atomic.Bool  // reads nothing
	held   atomic.Bool  // has stopped reading for that reason
	last   int32        // the number of the last event, for checking the order
	wrong  atomic.Int32 // events out of order
	sent   atomic.Int64 // when the current event was sent, in Unix nanoseconds
	closed atomic.Bool
	heard  atomic.Bool // it has received something
}

var readAll = &frame.Limits{Frame: 64 << 20, Message: 64 << 20, Fragments: 1000, Client: true}

func newFleet() (*fleet, error) {
	p, err := netpoll.New(netpoll.Options{Heartbeat: 10 * time.Minute})
	return &fleet{poller: p, on: func(*sock, []byte) {}, number: fleets.Add(1)}, err
}

func (f *fleet) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f.poller.Close(ctx)
}

// address is the server's address and the content of the handshake.
type address struct {
	host, path string
	header     http.Header
	receive    int    // bytes of SO_RCVBUF, 0 for the system's default
	first      []byte // a text message to send immediately
}

// errRefused is a handshake that was answered in HTTP.
type errRefused struct {
	status int
	why    string
}

func (e errRefused) Error() string { return fmt.Sprintf("refused with status %d: %s", e.status, e.why) }

// dial opens the ith socket, from an address of its own for every fleet and every
// 10,000 sockets: recently closed ports cannot be used again yet.
func (f *fleet) dial(i int, a address) (*sock, error) {
	d := net.Dialer{
		Timeout:   30 * time.Second,
		LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(f.number), byte(1+i/10_000))}, KeepAlive: -1, Control: a.prepare,
	}
	nc, err := d.Dial("tcp", a.host)
	if err != nil {
		return nil, err
	}
	leftover, err := shake(nc, a)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	s := &sock{fleet: f, parser: frame.Parser{Limits: readAll}}
	c, err := f.poller.Add(nc, leftover, s)
	if err != nil {
		return nil, err
	}
	s.conn.CompareAndSwap(nil, c)
	if a.first != nil {
		s.send(a.first)
	}
	return s, nil
}

// prepare lets the kernel choose the port once the target is known, so that the port
// has to be free for this target only. A receive buffer must be small before the
// connection exists: otherwise the peer remembers a larger window and, with loopback's
// long segments, waits for half of it to be free.
func (a address) prepare(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if a.receive > 0 {
			failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, a.receive))
		}
	})
	return errors.Join(err, failed)
}

func shake(nc net.Conn, a address) (leftover []byte, err error) {
	_ = nc.SetDeadline(time.Now().Add(60 * time.Second))
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", a.path, a.host)
	_ = a.header.Write(&b)
	b.WriteString("\r\n")
	if _, err := nc.Write(b.Bytes()); err != nil {
		return nil, err
	}
	r := bufio.NewReader(nc)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		why, _ := io.ReadAll(response.Body)
		response.Body.Close()
		return nil, errRefused{response.StatusCode, string(why)}
	}
	_ = nc.SetDeadline(time.Time{})
	leftover, _ = r.Peek(r.Buffered())
	return bytes.Clone(leftover), nil
}

// open opens n sockets, at most width at a time. A socket that is refused because the
// server is busy tries again, as clients do.
func (f *fleet) open(from, n, width int, at func(i int) address) ([]*sock, error) {
	all := make([]*sock, n)
	errs := make(chan error, n)
	var next atomic.Int32
	var wg sync.WaitGroup
	for range width {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				s, err := f.dial(from+i, at(from+i))
				var r errRefused
				for tries := 0; errors.As(err, &r) && r.status == http.StatusServiceUnavailable && tries < 100; tries++ {
					f.later.Add(1)
					time.Sleep(100 * time.Millisecond)
					s, err = f.dial(from+i, at(from+i))
				}
				if err != nil {
					errs <- fmt.Errorf("open socket %d: %w", from+i, err)
				}
				all[i] = s
			}
		})
	}
	wg.Wait()
	close(errs)
	var failed []error
	for err := range errs {
		failed = append(failed, err)
	}
	if len(failed) > 0 {
		return nil, fmt.Errorf("%d of %d sockets did not open, the first: %w", len(failed), n, failed[0])
	}
	if n > 0 && at(from).first != nil { // it is answered when the server has accepted the socket
		err := until(time.Minute, func() bool {
			return !slices.ContainsFunc(all, func(s *sock) bool { return !s.heard.Load() })
		})
		if err != nil {
			return nil, fmt.Errorf("some sockets received no connection frame: %w", err)
		}
	}
	return all, nil
}

var mask = [4]byte{1, 2, 3, 4}

// send sends a text message.
func (s *sock) send(payload []byte) {
	if c := s.conn.Load(); c != nil {
		c.Reply(frame.AppendMasked(nil, frame.OpText, payload, mask))
	}
}

// Data implements [netpoll.Handler].
func (s *sock) Data(c *netpoll.Conn, p []byte) netpoll.Next {
	s.conn.CompareAndSwap(nil, c)
	for len(p) > 0 {
		n, m, err := s.parser.Next(p)
		p = p[n:]
		if err != nil {
			s.wrong.Add(1)
			c.Close(nil)
			return netpoll.Pause
		}
		switch m.Opcode {
		case frame.OpText:
			s.heard.Store(true)
			s.fleet.on(s, m.Payload)
		case frame.OpPing:
			c.Reply(frame.AppendMasked(nil, frame.OpPong, m.Payload, mask))
		case frame.OpClose:
			c.Close(frame.AppendMasked(nil, frame.OpClose, nil, mask))
		}
	}
	if s.stuck.Load() {
		s.held.Store(true)
		return netpoll.Pause
	}
	return netpoll.Continue
}

// wakeUp makes a stuck socket read again.
func (s *sock) wakeUp() {
	s.stuck.Store(false)
	if s.held.Swap(false) {
		s.conn.Load().Resume(netpoll.Continue)
	}
}

// Writable, Idle, PartialTimeout and Closed implement [netpoll.Handler].
func (s *sock) Writable(*netpoll.Conn)       {}
func (s *sock) Idle(*netpoll.Conn)           {}
func (s *sock) PartialTimeout(*netpoll.Conn) {}
func (s *sock) Closed(*netpoll.Conn, error)  { s.closed.Store(true) }

// marker precedes an event's number in its content.
var marker = []byte("@@")

// numbers calls f with the number of each event in a payload and the time when it was
// sent; some servers put several into one message.
func numbers(payload []byte, f func(n int, sent int64)) {
	const length = 2 + 8 + 1 + 19
	for {
		i := bytes.Index(payload, marker)
		if i < 0 || len(payload) < i+length {
			return
		}
		payload = payload[i:]
		n, err := strconv.Atoi(string(payload[2:10]))
		sent, err2 := strconv.ParseInt(string(payload[11:length]), 10, 64)
		if err == nil && err2 == nil {
			f(n, sent)
		}
		payload = payload[2:]
	}
}

// content returns an event's content of size bytes, with its number and the time.
func content(n, size int) []byte {
	b := fmt.Appendf(nil, "@@%08d!%019d", n, time.Now().UnixNano())
	return append(b, bytes.Repeat([]byte("x"), max(0, size-len(b)))...)
}

var errTimeout = errors.New("timed out")

// until waits for a condition.
func until(limit time.Duration, f func() bool) error {
	for end := time.Now().Add(limit); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return errTimeout
		}
	}
	return nil
}
