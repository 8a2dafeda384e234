package netpoll_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
)

// goroutinesPerSocket is how many goroutines an idle socket has.
var goroutinesPerSocket = map[netpoll.Driver]int{netpoll.Epoll: 0, netpoll.Goroutine: 1}

func TestGoroutinesOfIdleSockets(t *testing.T) { each(t, testGoroutinesOfIdleSockets) }

func testGoroutinesOfIdleSockets(t *testing.T, d netpoll.Driver) {
	const sockets = 500
	p := newPoller(t, netpoll.Options{Driver: d})
	before := runtime.NumGoroutine()
	r := newRecorder()
	for range sockets {
		peer, _ := add(t, p, r, nil)
		write(t, peer, "x") // the socket becomes idle again after this
	}
	r.wait(t, "a byte from each", func() bool { return r.size == sockets })
	want := before + sockets*goroutinesPerSocket[d]
	for end := time.Now().Add(testTimeout); runtime.NumGoroutine() > want; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines with %d idle sockets, want %d", runtime.NumGoroutine(), sockets, want)
		}
	}
}

func TestSilentPeerIsClosed(t *testing.T) { each(t, testSilentPeerIsClosed) }

func testSilentPeerIsClosed(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	add(t, newPoller(t, netpoll.Options{Driver: d, Heartbeat: 20 * time.Millisecond}), r, nil)
	r.wait(t, "Idle", func() bool { return r.idle > 0 })
	r.waitClosed(t, netpoll.ErrHalfOpen)
	if r.idle != 1 {
		t.Errorf("Idle was called %d times, want once", r.idle)
	}
}

func TestPeerThatAnswersIsNotClosed(t *testing.T) { each(t, testPeerThatAnswersIsNotClosed) }

func testPeerThatAnswersIsNotClosed(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	peer, _ := add(t, newPoller(t, netpoll.Options{Driver: d, Heartbeat: 300 * time.Millisecond}), r, nil)
	for beat := 1; beat <= 4; beat++ {
		r.wait(t, "Idle", func() bool { return r.idle >= beat || r.closed > 0 })
		write(t, peer, "here")
		r.wait(t, "the answer", func() bool { return r.size >= 4*beat })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != 0 {
		t.Errorf("the socket was closed with %v", r.err)
	}
}

func TestPartialTimeout(t *testing.T) { each(t, testPartialTimeout) }

// The peer sends again and again, so it is not silent, and never completes anything.
func testPartialTimeout(t *testing.T, d netpoll.Driver) {
	p := newPoller(t, netpoll.Options{Driver: d, Heartbeat: time.Hour, PartialTimeout: 40 * time.Millisecond})
	r := newRecorder()
	r.next = netpoll.Partial
	peer, c := add(t, p, r, nil)
	for i := range 3 {
		write(t, peer, "part")
		r.wait(t, "the data", func() bool { return r.size >= 4*(i+1) })
	}
	r.wait(t, "PartialTimeout", func() bool { return r.timeouts > 0 })
	c.Close(nil)
	_ = peer.Close()
	r.waitClosed(t, nil)
}

func TestNoPartialTimeoutAfterContinue(t *testing.T) { each(t, testNoPartialTimeoutAfterContinue) }

func testNoPartialTimeoutAfterContinue(t *testing.T, d netpoll.Driver) {
	r := newRecorder()
	r.next = netpoll.Partial
	options := netpoll.Options{Driver: d, Heartbeat: 500 * time.Millisecond, PartialTimeout: 500 * time.Millisecond}
	peer, _ := add(t, newPoller(t, options), r, nil)
	write(t, peer, "begin")
	r.wait(t, "the beginning", func() bool { return r.size == 5 })
	r.set(netpoll.Continue)
	write(t, peer, "end")
	r.wait(t, "Idle", func() bool { return r.idle > 0 }) // a heartbeat later
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timeouts > 0 {
		t.Error("PartialTimeout was called although the data was complete")
	}
}
