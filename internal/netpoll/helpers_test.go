package netpoll_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds every wait. Nothing is expected to take that long.
const testTimeout = 20 * time.Second

// recorder is a Handler that records its calls.
type recorder struct {
	called async.Signal

	mu       sync.Mutex // guards what follows
	data     []byte
	size     int          // of all data
	sizeOnly bool         // data is not recorded
	next     netpoll.Next // returned by Data
	writable int          // calls
	idle     int
	timeouts int // calls of PartialTimeout
	closed   int
	err      error               // of Closed
	onData   func(*netpoll.Conn) // called by Data
}

func newRecorder() *recorder { return &recorder{called: async.NewSignal()} }

func (r *recorder) Data(c *netpoll.Conn, p []byte) netpoll.Next {
	r.mu.Lock()
	r.size += len(p)
	if !r.sizeOnly {
		r.data = append(r.data, p...)
	}
	clear(p) // which is allowed
	next, onData := r.next, r.onData
	r.mu.Unlock()
	if onData != nil {
		onData(c)
	}
	r.called.Notify()
	return next
}

func (r *recorder) Writable(*netpoll.Conn)       { r.record(func() { r.writable++ }) }
func (r *recorder) Idle(*netpoll.Conn)           { r.record(func() { r.idle++ }) }
func (r *recorder) PartialTimeout(*netpoll.Conn) { r.record(func() { r.timeouts++ }) }
func (r *recorder) Closed(_ *netpoll.Conn, err error) {
	r.record(func() { r.closed, r.err = r.closed+1, err })
}

func (r *recorder) record(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	r.called.Notify()
}

// set changes what Data returns.
func (r *recorder) set(next netpoll.Next) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = next
}

// wait waits until f, which is called with mu held, returns true.
func (r *recorder) wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	for {
		r.mu.Lock()
		ok := f()
		r.mu.Unlock()
		if ok {
			return
		}
		if !r.called.Wait(ctx) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// waitClosed waits until Closed was called once with an error that is want. A nil want
// is any error.
func (r *recorder) waitClosed(t *testing.T, want error) {
	t.Helper()
	r.wait(t, "the end of the socket", func() bool { return r.closed > 0 })
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != 1 || want != nil && !errors.Is(r.err, want) {
		t.Errorf("Closed was called %d times, with %v, want once with %v", r.closed, r.err, want)
	}
}

// each runs a test with every driver that this system has.
func each(t *testing.T, test func(t *testing.T, d netpoll.Driver)) {
	t.Helper()
	for _, d := range []netpoll.Driver{netpoll.Epoll, netpoll.Goroutine} {
		if d == netpoll.Epoll && !hasEpoll {
			continue
		}
		t.Run(string(d), func(t *testing.T) { test(t, d) })
	}
}

// pair returns a socket with the handler r, and its peer.
func pair(t *testing.T, d netpoll.Driver, r *recorder, leftover []byte) (peer *net.TCPConn, c *netpoll.Conn) {
	t.Helper()
	return add(t, newPoller(t, netpoll.Options{Driver: d}), r, leftover)
}

// add adds a socket to p and returns its peer.
func add(t *testing.T, p *netpoll.Poller, r *recorder, leftover []byte) (peer *net.TCPConn, c *netpoll.Conn) {
	t.Helper()
	nc, peer := connect(t)
	c, err := p.Add(nc, leftover, r)
	if err != nil {
		t.Fatal(err)
	}
	return peer, c
}

func newPoller(t *testing.T, options netpoll.Options) *netpoll.Poller {
	t.Helper()
	p, err := netpoll.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_ = p.Close(ctx)
		if n := p.Len(); n != 0 {
			t.Errorf("%d sockets are left after Close, want none", n)
		}
	})
	return p
}

// connect returns both ends of a TCP connection.
func connect(t *testing.T) (accepted net.Conn, dialed *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	accepted, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return accepted, nc.(*net.TCPConn)
}

// write writes as a peer.
func write(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := nc.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}
