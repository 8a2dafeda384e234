package netpoll_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; nothing is expected to take that long.
const patience = 20 * time.Second

// owner is a Handler that keeps what it is told.
type owner struct {
	mu        sync.Mutex
	got       []byte
	pause     bool
	writable  int
	idle      int
	late      int
	partial   bool
	forget    bool // keeps only how much it was told
	forgotten int
	closed    int
	err       error
	news      chan struct{}
	onData    func(c *netpoll.Conn, p []byte)
}

func newOwner() *owner { return &owner{news: make(chan struct{}, 1)} }

func (o *owner) tell() {
	select {
	case o.news <- struct{}{}:
	default:
	}
}

func (o *owner) Data(c *netpoll.Conn, p []byte) netpoll.Next {
	o.mu.Lock()
	if o.forget {
		o.forgotten += len(p)
	} else {
		o.got = append(o.got, p...)
	}
	clear(p) // it is ours to change
	pause, partial, onData := o.pause, o.partial, o.onData
	o.mu.Unlock()
	if onData != nil {
		onData(c, o.got)
	}
	o.tell()
	switch {
	case pause:
		return netpoll.Pause
	case partial:
		return netpoll.Partial
	}
	return netpoll.Continue
}

func (o *owner) Writable(*netpoll.Conn)       { o.mu.Lock(); o.writable++; o.mu.Unlock(); o.tell() }
func (o *owner) Idle(*netpoll.Conn)           { o.mu.Lock(); o.idle++; o.mu.Unlock(); o.tell() }
func (o *owner) PartialTimeout(*netpoll.Conn) { o.mu.Lock(); o.late++; o.mu.Unlock(); o.tell() }
func (o *owner) Closed(_ *netpoll.Conn, err error) {
	o.mu.Lock()
	o.closed++
	o.err = err
	o.mu.Unlock()
	o.tell()
}

// wait waits until what it has been told satisfies f.
func (o *owner) wait(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		o.mu.Lock()
		ok := f()
		o.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-o.news:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// each runs a test with every driver that there is here.
func each(t *testing.T, test func(t *testing.T, d netpoll.Driver)) {
	t.Helper()
	for _, d := range []netpoll.Driver{netpoll.Epoll, netpoll.Goroutine} {
		if d == netpoll.Epoll && !hasEpoll {
			continue
		}
		t.Run(string(d), func(t *testing.T) { test(t, d) })
	}
}

// pair makes a connection: the peer's end, and ours with its owner.
func pair(t *testing.T, d netpoll.Driver, o *owner, leftover []byte) (peer *net.TCPConn, c *netpoll.Conn) {
	t.Helper()
	p := poller(t, netpoll.Options{Driver: d})
	ours, peer := connect(t)
	c, err := p.Add(ours, leftover, o)
	if err != nil {
		t.Fatal(err)
	}
	return peer, c
}

func poller(t *testing.T, options netpoll.Options) *netpoll.Poller {
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
			t.Errorf("%d sockets are left", n)
		}
	})
	return p
}

func connect(t *testing.T) (ours net.Conn, peer *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	peer = dialed.(*net.TCPConn)
	t.Cleanup(func() { _ = peer.Close() })
	return ours, peer
}

func TestBytesGoBothWays(t *testing.T) { each(t, testBytesGoBothWays) }

func testBytesGoBothWays(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	peer, c := pair(t, d, o, []byte("left over, "))
	if _, err := peer.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "what was sent", func() bool { return string(o.got) == "left over, hello" })
	if !c.Write([]byte("hi")) || c.Backlogged() {
		t.Error("a write to a peer that reads was not taken")
	}
	b := make([]byte, 2)
	if _, err := io.ReadFull(peer, b); err != nil || string(b) != "hi" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "the end", func() bool { return o.closed == 1 && errors.Is(o.err, io.EOF) })
	if c.Write([]byte("x")) {
		t.Error("a closed socket takes a write")
	}
}

func TestAPeerThatDoesNotReadKeepsOneWrite(t *testing.T) {
	each(t, testAPeerThatDoesNotReadKeepsOneWrite)
}

func testAPeerThatDoesNotReadKeepsOneWrite(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	peer, c := pair(t, d, o, nil)
	var want []byte
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for c.Write(chunk) {
		want = append(want, chunk...)
		if len(want) > 1<<30 {
			t.Fatal("the kernel takes everything")
		}
	}
	if !c.Backlogged() {
		t.Error("a write was refused, and nothing is kept")
	}
	c.Reply([]byte("a reply, "))
	c.Reply([]byte("and another"))
	want = append(want, "a reply, and another"...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the bytes differ, %v", err)
	}
	o.wait(t, "writability", func() bool { return o.writable == 1 })
	if c.Backlogged() || !c.Write([]byte("x")) {
		t.Error("it is level and takes no write")
	}
}

func TestRepliesToAPeerThatNeverReadsAreBounded(t *testing.T) {
	each(t, testRepliesToAPeerThatNeverReadsAreBounded)
}

func testRepliesToAPeerThatNeverReadsAreBounded(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	_, c := pair(t, d, o, nil)
	chunk := make([]byte, 64<<10)
	for c.Write(chunk) {
	}
	for range 100 {
		c.Reply(chunk)
	}
	o.wait(t, "the end", func() bool { return o.closed == 1 && errors.Is(o.err, netpoll.ErrReplies) })
}

func TestPauseHoldsThePeerBack(t *testing.T) { each(t, testPauseHoldsThePeerBack) }

func testPauseHoldsThePeerBack(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	o.pause = true
	peer, c := pair(t, d, o, nil)
	for i, text := range []string{"one", "two", "three"} {
		if _, err := peer.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		before := 0
		o.wait(t, text, func() bool { before = len(o.got); return before > 0 && bytes.HasSuffix(o.got, []byte(text)) })
		if i == 1 {
			// What comes while it is paused, and the end, wait.
			if _, err := peer.Write([]byte("unread")); err != nil {
				t.Fatal(err)
			}
			o.mu.Lock()
			if len(o.got) != before {
				t.Error("it was read while paused")
			}
			o.mu.Unlock()
			c.Resume(netpoll.Continue)
			o.wait(t, "what had waited", func() bool { return bytes.HasSuffix(o.got, []byte("unread")) })
		}
		c.Resume(netpoll.Continue)
	}
	_ = peer.Close()
	o.wait(t, "the end", func() bool { return o.closed == 1 })
}

func TestResumeMayComeBeforeThePause(t *testing.T) { each(t, testResumeMayComeBeforeThePause) }

func testResumeMayComeBeforeThePause(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	o.pause = true
	o.onData = func(c *netpoll.Conn, _ []byte) { c.Resume(netpoll.Continue) }
	peer, _ := pair(t, d, o, []byte("a"))
	for range 100 {
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	o.wait(t, "everything", func() bool { return len(o.got) == 101 })
}

func TestCloseSaysGoodbyeAndWaitsForThePeer(t *testing.T) {
	each(t, testCloseSaysGoodbyeAndWaitsForThePeer)
}

func testCloseSaysGoodbyeAndWaitsForThePeer(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	peer, c := pair(t, d, o, nil)
	c.Close([]byte("goodbye"))
	c.Close([]byte("again"))
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != "goodbye" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = peer.Close()
	o.wait(t, "the end", func() bool { return o.closed == 1 && errors.Is(o.err, netpoll.ErrClosed) })
}

func TestCloseDoesNotWaitForAPeerThatStays(t *testing.T) {
	each(t, testCloseDoesNotWaitForAPeerThatStays)
}

func testCloseDoesNotWaitForAPeerThatStays(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	_, c := pair(t, d, o, nil)
	for c.Write(make([]byte, 64<<10)) {
	}
	c.Close([]byte("goodbye"))
	o.wait(t, "the end", func() bool { return o.closed == 1 })
}

func TestEverythingAtOnce(t *testing.T) { each(t, testEverythingAtOnce) }

func testEverythingAtOnce(t *testing.T, d netpoll.Driver) {
	for range 20 {
		o := newOwner()
		peer, c := pair(t, d, o, nil)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 50 {
					c.Write([]byte("data"))
					c.Reply([]byte("reply"))
				}
				c.Close([]byte("bye"))
			})
		}
		all.Go(func() { _, _ = peer.Write(bytes.Repeat([]byte("x"), 1<<16)) })
		all.Go(func() { _, _ = io.Copy(io.Discard, peer); _ = peer.Close() })
		all.Wait()
		o.wait(t, "the end", func() bool { return o.closed == 1 })
	}
}

func TestASilentPeerIsAskedAndThenClosed(t *testing.T) { each(t, testASilentPeerIsAskedAndThenClosed) }

func testASilentPeerIsAskedAndThenClosed(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	p := poller(t, netpoll.Options{Driver: d, Heartbeat: 20 * time.Millisecond})
	ours, _ := connect(t)
	if _, err := p.Add(ours, nil, o); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "the question", func() bool { return o.idle > 0 })
	o.wait(t, "the end", func() bool { return o.closed == 1 && errors.Is(o.err, netpoll.ErrHalfOpen) })
	if o.idle != 1 {
		t.Errorf("it was asked %d times", o.idle)
	}
}

func TestAPeerThatSpeaksIsKept(t *testing.T) { each(t, testAPeerThatSpeaksIsKept) }

func testAPeerThatSpeaksIsKept(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	p := poller(t, netpoll.Options{Driver: d, Heartbeat: 300 * time.Millisecond})
	ours, peer := connect(t)
	if _, err := p.Add(ours, nil, o); err != nil {
		t.Fatal(err)
	}
	for asked := 1; asked <= 4; asked++ { // four heartbeats, each answered
		o.wait(t, "the question", func() bool { return o.idle >= asked || o.closed > 0 })
		if _, err := peer.Write([]byte("here")); err != nil {
			t.Fatal(err)
		}
		o.wait(t, "the answer", func() bool { return len(o.got) >= 4*asked })
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed != 0 {
		t.Errorf("closed: %v", o.err)
	}
}

func TestClosingThePollerClosesAll(t *testing.T) { each(t, testClosingThePollerClosesAll) }

func testClosingThePollerClosesAll(t *testing.T, d netpoll.Driver) {
	p, err := netpoll.New(netpoll.Options{Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	var owners []*owner
	for range 20 {
		o := newOwner()
		ours, peer := connect(t)
		if _, err := p.Add(ours, nil, o); err != nil {
			t.Fatal(err)
		}
		owners = append(owners, o)
		go func() { _, _ = io.Copy(io.Discard, peer); _ = peer.Close() }()
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("close: %v", err)
	}
	for _, o := range owners {
		if o.closed != 1 {
			t.Error("a socket was not closed")
		}
	}
	ours, _ := connect(t)
	if _, err := p.Add(ours, nil, newOwner()); err == nil {
		t.Error("a closed poller takes a socket")
	}
}
