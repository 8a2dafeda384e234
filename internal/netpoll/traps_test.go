package netpoll_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
)

// goroutinesEach is what an idle socket costs by driver.
var goroutinesEach = map[netpoll.Driver]int{netpoll.Epoll: 0, netpoll.Goroutine: 1}

func TestIdleSocketsHoldNoGoroutine(t *testing.T) { each(t, testIdleSocketsHoldNoGoroutine) }

func testIdleSocketsHoldNoGoroutine(t *testing.T, d netpoll.Driver) {
	const sockets = 500
	p := poller(t, netpoll.Options{Driver: d})
	before := runtime.NumGoroutine()
	o := newOwner()
	for range sockets {
		ours, peer := connect(t)
		if _, err := p.Add(ours, nil, o); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write([]byte("x")); err != nil { // it has had something to do
			t.Fatal(err)
		}
	}
	o.wait(t, "a byte from each", func() bool { return len(o.got) == sockets })
	want := before + sockets*goroutinesEach[d]
	for end := time.Now().Add(patience); runtime.NumGoroutine() > want; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, and %d before the %d idle sockets", runtime.NumGoroutine(), before, sockets)
		}
	}
}

func TestWhatIsPartialHasATime(t *testing.T) { each(t, testWhatIsPartialHasATime) }

// A peer that speaks now and then, so that it is not silent, but never ends what it
// began.
func testWhatIsPartialHasATime(t *testing.T, d netpoll.Driver) {
	p := poller(t, netpoll.Options{Driver: d, Heartbeat: time.Hour, Partial: 40 * time.Millisecond})
	o := newOwner()
	o.partial = true
	ours, peer := connect(t)
	c, err := p.Add(ours, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := peer.Write([]byte("half")); err != nil {
			t.Fatal(err)
		}
		o.wait(t, "the bytes", func() bool { return len(o.got) >= 4*(i+1) })
	}
	o.wait(t, "Late", func() bool { return o.late > 0 })
	c.Close(nil)
	_ = peer.Close()
	o.wait(t, "the end", func() bool { return o.closed == 1 })
}

func TestWhatBecomesWholeIsNotLate(t *testing.T) { each(t, testWhatBecomesWholeIsNotLate) }

func testWhatBecomesWholeIsNotLate(t *testing.T, d netpoll.Driver) {
	p := poller(t, netpoll.Options{Driver: d, Heartbeat: 500 * time.Millisecond, Partial: 500 * time.Millisecond})
	o := newOwner()
	ours, peer := connect(t)
	if _, err := p.Add(ours, nil, o); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	o.partial = true
	o.mu.Unlock()
	if _, err := peer.Write([]byte("begin")); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "the beginning", func() bool { return len(o.got) == 5 })
	o.mu.Lock()
	o.partial = false
	o.mu.Unlock()
	if _, err := peer.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	o.wait(t, "the question", func() bool { return o.idle > 0 }) // a heartbeat later
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.late > 0 {
		t.Error("it was whole, and late")
	}
}

func TestDataAndTheEndInOneSegment(t *testing.T) { each(t, testDataAndTheEndInOneSegment) }

func testDataAndTheEndInOneSegment(t *testing.T, d netpoll.Driver) {
	p := poller(t, netpoll.Options{Driver: d})
	for range 50 {
		ours, peer := connect(t)
		if _, err := peer.Write([]byte("last words")); err != nil {
			t.Fatal(err)
		}
		if err := peer.Close(); err != nil { // both are there before anybody looks
			t.Fatal(err)
		}
		o := newOwner()
		if _, err := p.Add(ours, nil, o); err != nil {
			t.Fatal(err)
		}
		o.wait(t, "the words and the end", func() bool {
			return o.closed == 1 && string(o.got) == "last words" && errors.Is(o.err, io.EOF)
		})
	}
}

func TestAHangUpWhileNothingIsRead(t *testing.T) { each(t, testAHangUpWhileNothingIsRead) }

// The peer sends, and hangs up, while reading is paused: all of it is read on
// resumption, though no event comes any more.
func testAHangUpWhileNothingIsRead(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	o.pause = true
	peer, c := pair(t, d, o, []byte("first"))
	o.wait(t, "what came first", func() bool { return len(o.got) == 5 })
	rest := bytes.Repeat([]byte("r"), 100<<10)
	if _, err := peer.Write(rest); err != nil {
		t.Fatal(err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	o.pause = false
	o.mu.Unlock()
	c.Resume(netpoll.Continue)
	o.wait(t, "all of it and the end", func() bool { return o.closed == 1 && len(o.got) == 5+len(rest) })
}

func TestCloseWhilePausedIsNotForgotten(t *testing.T) { each(t, testCloseWhilePausedIsNotForgotten) }

func testCloseWhilePausedIsNotForgotten(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	o.pause = true
	peer, c := pair(t, d, o, []byte("x"))
	if _, err := peer.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	c.Close(nil)
	o.wait(t, "the end", func() bool { return o.closed == 1 && errors.Is(o.err, netpoll.ErrClosed) })
}

func TestOneByteSegments(t *testing.T) { each(t, testOneByteSegments) }

func testOneByteSegments(t *testing.T, d netpoll.Driver) {
	o := newOwner()
	peer, _ := pair(t, d, o, nil)
	if err := peer.SetNoDelay(true); err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 64<<10)
	for i := range want {
		want[i] = byte(i)
		if _, err := peer.Write(want[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	o.wait(t, "all bytes", func() bool { return bytes.Equal(o.got, want) })
}

func TestABusySocketDoesNotStarveOthers(t *testing.T) { each(t, testABusySocketDoesNotStarveOthers) }

// One peer's bytes never end, as far as can be seen: another is read from meanwhile.
func testABusySocketDoesNotStarveOthers(t *testing.T, d netpoll.Driver) {
	p := poller(t, netpoll.Options{Driver: d})
	busy, quiet := newOwner(), newOwner()
	busy.forget = true
	oursBusy, peerBusy := connect(t)
	oursQuiet, peerQuiet := connect(t)
	for o, c := range map[*owner]net.Conn{busy: oursBusy, quiet: oursQuiet} {
		if _, err := p.Add(c, nil, o); err != nil {
			t.Fatal(err)
		}
	}
	stop := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		b := make([]byte, 256<<10)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := peerBusy.Write(b); err != nil {
					return
				}
			}
		}
	})
	defer sending.Wait()
	defer close(stop)
	busy.wait(t, "much", func() bool { return busy.forgotten > 4<<20 })
	for i := range 20 {
		if _, err := peerQuiet.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		quiet.wait(t, "a byte", func() bool { return len(quiet.got) == i+1 })
	}
}

func TestDescriptorsAreReused(t *testing.T) { each(t, testDescriptorsAreReused) }

// Sockets come and go on the same few descriptors and places, closed from both
// sides, the reaper and writers at once; none hears what was another's.
func testDescriptorsAreReused(t *testing.T, d netpoll.Driver) {
	p := poller(t, netpoll.Options{Driver: d, Heartbeat: 20 * time.Millisecond})
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 40 {
				o := newOwner()
				ours, peer := connect(t)
				mine := []byte{byte(worker), byte(i)}
				c, err := p.Add(ours, nil, o)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = peer.Write(mine)
				var ends sync.WaitGroup
				ends.Go(func() { c.Write([]byte("data")) })
				ends.Go(func() { c.Reply([]byte("reply")) })
				ends.Go(func() { c.Close([]byte("bye")) })
				ends.Go(func() { peer.Close() })
				ends.Wait()
				o.wait(t, "the end", func() bool { return o.closed == 1 })
				o.mu.Lock()
				if len(o.got) > 0 && !bytes.Equal(o.got, mine) {
					t.Errorf("socket %v got %v", mine, o.got)
				}
				o.mu.Unlock()
			}
		})
	}
	all.Wait()
}
