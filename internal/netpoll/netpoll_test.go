package netpoll_test

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
)

func TestBytesInBothDirections(t *testing.T) { each(t, testBytesInBothDirections) }

func testBytesInBothDirections(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	peer, c := pair(t, d, r, []byte("left over, "))
	write(t, peer, "hello")
	r.wait(t, "all data", func() bool { return string(r.data) == "left over, hello" })
	if !c.Write([]byte("hi")) || c.Backlogged() {
		t.Error("a write to a peer that reads was refused or kept")
	}
	b := make([]byte, 2)
	if _, err := io.ReadFull(peer, b); err != nil || string(b) != "hi" {
		t.Errorf("the peer read %q, %v, want hi", b, err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	r.waitClosed(t, io.EOF)
	if c.Write([]byte("x")) {
		t.Error("a closed socket accepted a write")
	}
}

func TestOneWriteIsKeptForAPeerThatDoesNotRead(t *testing.T) {
	each(t, testOneWriteIsKeptForAPeerThatDoesNotRead)
}

func testOneWriteIsKeptForAPeerThatDoesNotRead(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	peer, c := pair(t, d, r, nil)
	var want []byte
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	for c.Write(chunk) {
		want = append(want, chunk...)
		if len(want) > 1<<30 {
			t.Fatal("the kernel accepted a gigabyte")
		}
	}
	if !c.Backlogged() {
		t.Error("a write was refused although nothing is kept")
	}
	c.Reply([]byte("a reply, "))
	c.Reply([]byte("and another"))
	want = append(want, "a reply, and another"...)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the peer read other bytes than were written, %v", err)
	}
	r.wait(t, "Writable", func() bool { return r.writable == 1 })
	if c.Backlogged() || !c.Write([]byte("x")) {
		t.Error("after Writable, a write was refused or something is kept")
	}
}

func TestRepliesToAPeerThatDoesNotReadAreBounded(t *testing.T) {
	each(t, testRepliesToAPeerThatDoesNotReadAreBounded)
}

func testRepliesToAPeerThatDoesNotReadAreBounded(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	_, c := pair(t, d, r, nil)
	chunk := make([]byte, 64<<10)
	for c.Write(chunk) {
	}
	for range 100 {
		c.Reply(chunk)
	}
	r.waitClosed(t, netpoll.ErrReplies)
}

func TestPauseStopsReading(t *testing.T) { each(t, testPauseStopsReading) }

func testPauseStopsReading(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	r.next = netpoll.Pause
	peer, c := pair(t, d, r, nil)
	for i, text := range []string{"one", "two", "three"} {
		write(t, peer, text)
		before := 0
		r.wait(t, text, func() bool {
			before = len(r.data)
			return bytes.HasSuffix(r.data, []byte(text))
		})
		if i == 1 {
			write(t, peer, "later")
			r.mu.Lock()
			if len(r.data) != before {
				t.Error("data was read while reading was paused")
			}
			r.mu.Unlock()
			c.Resume(netpoll.Continue)
			r.wait(t, "data that arrived meanwhile", func() bool { return bytes.HasSuffix(r.data, []byte("later")) })
		}
		c.Resume(netpoll.Continue)
	}
	_ = peer.Close()
	r.waitClosed(t, io.EOF)
}

func TestResumeMayComeBeforePause(t *testing.T) { each(t, testResumeMayComeBeforePause) }

func testResumeMayComeBeforePause(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	r.next = netpoll.Pause
	r.onData = func(c *netpoll.Conn) { c.Resume(netpoll.Continue) }
	peer, _ := pair(t, d, r, []byte("a"))
	for range 100 {
		write(t, peer, "x")
	}
	r.wait(t, "all data", func() bool { return r.size == 101 })
}

func TestCloseSendsLastBytesAndWaitsForThePeer(t *testing.T) {
	each(t, testCloseSendsLastBytesAndWaitsForThePeer)
}

func testCloseSendsLastBytesAndWaitsForThePeer(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	peer, c := pair(t, d, r, nil)
	c.Close([]byte("goodbye"))
	c.Close([]byte("again"))
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != "goodbye" {
		t.Errorf("the peer read %q, %v, want goodbye", got, err)
	}
	_ = peer.Close()
	r.waitClosed(t, netpoll.ErrClosed)
}

func TestCloseDoesNotWaitLongForAPeer(t *testing.T) { each(t, testCloseDoesNotWaitLongForAPeer) }

func testCloseDoesNotWaitLongForAPeer(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	_, c := pair(t, d, r, nil)
	for c.Write(make([]byte, 64<<10)) {
	}
	c.Close([]byte("goodbye"))
	r.waitClosed(t, nil)
}

func TestConcurrentWritesAndCloses(t *testing.T) { each(t, testConcurrentWritesAndCloses) }

func testConcurrentWritesAndCloses(t *testing.T, d netpoll.Driver) {
	for range 20 {
		r := newRecorder()
		peer, c := pair(t, d, r, nil)
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
		r.waitClosed(t, nil)
	}
}

func TestClosingThePollerClosesAllSockets(t *testing.T) {
	each(t, testClosingThePollerClosesAllSockets)
}

func testClosingThePollerClosesAllSockets(t *testing.T, d netpoll.Driver) {
	p, err := netpoll.New(netpoll.Options{Driver: d})
	if err != nil {
		t.Fatal(err)
	}
	var recorders []*recorder
	for range 20 {
		r := newRecorder()
		recorders = append(recorders, r)
		peer, _ := add(t, p, r, nil)
		go func() { _, _ = io.Copy(io.Discard, peer); _ = peer.Close() }() // ends with the socket
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("Close returns %v", err)
	}
	for _, r := range recorders {
		if r.closed != 1 {
			t.Errorf("Closed was called %d times, want once", r.closed)
		}
	}
	nc, _ := connect(t)
	if _, err := p.Add(nc, nil, newRecorder()); err == nil {
		t.Error("a closed poller accepted a socket")
	}
}

func TestLastBytesAndEndInOneSegment(t *testing.T) { each(t, testLastBytesAndEndInOneSegment) }

func testLastBytesAndEndInOneSegment(t *testing.T, d netpoll.Driver) {
	p := newPoller(t, netpoll.Options{Driver: d})
	for range 50 {
		nc, peer := connect(t)
		write(t, peer, "last words")
		if err := peer.Close(); err != nil { // both have arrived before the socket is read
			t.Fatal(err)
		}
		r := newRecorder()
		if _, err := p.Add(nc, nil, r); err != nil {
			t.Fatal(err)
		}
		r.waitClosed(t, io.EOF)
		if string(r.data) != "last words" {
			t.Errorf("got %q, want last words", r.data)
		}
	}
}

func TestPeerHangsUpWhileReadingIsPaused(t *testing.T) { each(t, testPeerHangsUpWhileReadingIsPaused) }

// No event follows, and yet everything is read after Resume.
func testPeerHangsUpWhileReadingIsPaused(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	r.next = netpoll.Pause
	peer, c := pair(t, d, r, []byte("first"))
	r.wait(t, "the first bytes", func() bool { return r.size == 5 })
	rest := bytes.Repeat([]byte("r"), 100<<10)
	write(t, peer, string(rest))
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	r.set(netpoll.Continue)
	c.Resume(netpoll.Continue)
	r.waitClosed(t, io.EOF)
	if want := 5 + len(rest); r.size != want {
		t.Errorf("%d bytes were read, want %d", r.size, want)
	}
}

func TestCloseWhileReadingIsPaused(t *testing.T) { each(t, testCloseWhileReadingIsPaused) }

func testCloseWhileReadingIsPaused(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	r.next = netpoll.Pause
	peer, c := pair(t, d, r, []byte("x"))
	write(t, peer, "unread")
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	c.Close(nil)
	r.waitClosed(t, netpoll.ErrClosed)
}

func TestSegmentsOfOneByte(t *testing.T) { each(t, testSegmentsOfOneByte) }

func testSegmentsOfOneByte(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	peer, _ := pair(t, d, r, nil)
	if err := peer.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64<<10)
	for i := range want {
		want[i] = byte(i)
		write(t, peer, string(want[i:i+1]))
	}
	r.wait(t, "all bytes", func() bool { return bytes.Equal(r.data, want) })
}

func TestBusySocketDoesNotStarveOthers(t *testing.T) { each(t, testBusySocketDoesNotStarveOthers) }

func testBusySocketDoesNotStarveOthers(t *testing.T, d netpoll.Driver) {
	p := newPoller(t, netpoll.Options{Driver: d})
	busy, quiet := newRecorder(), newRecorder()
	busy.sizeOnly = true
	busyPeer, _ := add(t, p, busy, nil)
	quietPeer, _ := add(t, p, quiet, nil)
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		b := make([]byte, 256<<10)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := busyPeer.Write(b); err != nil {
					return
				}
			}
		}
	})
	defer sending.Wait()
	defer close(stop)
	busy.wait(t, "4 MB of data", func() bool { return busy.size > 4<<20 })
	for i := range 20 {
		write(t, quietPeer, "x")
		quiet.wait(t, "a byte", func() bool { return quiet.size == i+1 })
	}
}

func TestDescriptorsAndSlotsAreReused(t *testing.T) { each(t, testDescriptorsAndSlotsAreReused) }

// Sockets share few descriptors and slots, and are closed by both sides, the sweep and
// writers at once. No handler receives another socket's data.
func testDescriptorsAndSlotsAreReused(t *testing.T, d netpoll.Driver) {
	p := newPoller(t, netpoll.Options{Driver: d, Heartbeat: 20 * time.Millisecond})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 40 {
				r := newRecorder()
				nc, peer := connect(t)
				sent := []byte{byte(worker), byte(i)}
				c, err := p.Add(nc, nil, r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = peer.Write(sent)
				var ends sync.WaitGroup
				ends.Go(func() { c.Write([]byte("data")) })
				ends.Go(func() { c.Reply([]byte("reply")) })
				ends.Go(func() { c.Close([]byte("bye")) })
				ends.Go(func() { peer.Close() })
				ends.Wait()
				r.waitClosed(t, nil)
				r.mu.Lock()
				if len(r.data) > 0 && !bytes.Equal(r.data, sent) {
					t.Errorf("got %v, want %v", r.data, sent)
				}
				r.mu.Unlock()
			}
		})
	}
	all.Wait()
}
