package netpoll

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Conn is one socket. Its methods may be called from any goroutine, also before it
// is added to a Poller: then it takes nothing.
type Conn struct {
	handler Handler
	link    link
	seen    atomic.Uint32 // the tick at which something was last read
	slot    uint32        // in the poller's table

	mu           sync.Mutex    // guards what follows
	pendingState *pendingState // nil while it is open and the peer has taken everything
	fd           int32         // epoll: -1 once closed; only the reader closes it
	asked        uint32        // the value of seen for which Idle was called
	since        uint32        // the tick since which something is partial, 0 for nothing
	pauses       int16         // Pause answers less Resume calls: the latter may come first
	closing      bool          // nothing more is taken; the peer is waited for
	reading      bool          // epoll: somebody reads
	more         bool          // epoll: the kernel may have something that nobody was told of since
	hup          bool          // epoll: the end has come; what is before it is read without a further event
	queued       bool          // epoll: waits for the loop
}

// pendingState is what a socket has that is not simply open.
type pendingState struct {
	unsent     *unsent     // nil when the peer has taken everything
	closeState *closeState // nil until it is closed
}

// unsent is what the peer has not taken, nil for nothing. Called with mu held.
func (c *Conn) unsent() *unsent {
	if c.pendingState == nil {
		return nil
	}
	return c.pendingState.unsent
}

// closeState is how the socket ends, nil while it is open. Called with mu held.
func (c *Conn) closeState() *closeState {
	if c.pendingState == nil {
		return nil
	}
	return c.pendingState.closeState
}

// set is called with mu held.
func (c *Conn) set(k *unsent, g *closeState) {
	if c.pendingState = nil; k != nil || g != nil {
		c.pendingState = &pendingState{k, g}
	}
}

// closeState is how a socket ends.
type closeState struct {
	why   error  // the first reason
	until uint32 // the tick at which the peer is no longer waited for
}

// unsent is what the kernel did not take.
type unsent struct {
	rest    []byte // of one write, shared with other sockets
	replies []byte // to be written after rest
}

// link is a driver's way to the kernel. All but owner and resume are called with the
// socket's mu held.
type link interface {
	// owner is the poller.
	owner() *Poller
	// send writes as much as the kernel takes without waiting.
	send(c *Conn, b []byte) (int, error)
	// keep sees to it that flush is called when the kernel takes more.
	keep(c *Conn)
	// halfClose tells the peer that nothing more comes.
	halfClose(c *Conn)
	// end breaks the connection; the reader finds out, and closes it.
	end(c *Conn)
	// wake makes the reader look again.
	wake(c *Conn)
	// resume reads on.
	resume(c *Conn)
	// remote is the peer's address.
	remote(c *Conn) net.Addr
}

// begin makes c a socket. It is the last step before others know of it.
func (c *Conn) begin(h Handler, l link, fd int, reading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler, c.link, c.fd, c.reading = h, l, int32(fd), reading
}

// poller is whose socket it is. There are many sockets, and few links that are not
// shared: it is they who know.
func (c *Conn) poller() *Poller { return c.link.owner() }

func (c *Conn) markActive() { c.seen.Store(c.poller().now.Load()) }

// RemoteAddr is the peer's address, nil once the socket is closed.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil
	}
	return c.link.remote(c)
}

// Write hands b, which nobody may change any more, to the kernel. What the kernel
// does not take is kept, by reference. While something is kept, or once the socket
// is closed, Write takes nothing and reports false; Handler.Writable tells when
// what was kept is gone.
func (c *Conn) Write(b []byte) bool {
	c.mu.Lock()
	if c.link == nil || c.closing || c.unsent() != nil {
		c.mu.Unlock()
		return false
	}
	c.start(b)
	c.mu.Unlock()
	return true
}

// Reply hands over b as Write does, but keeps it behind what is kept already. Who
// replies has paused reading, so that a peer cannot make more than a few pile up;
// one who manages all the same is closed with ErrReplies.
func (c *Conn) Reply(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.link == nil, c.closing:
	case c.unsent() == nil:
		c.start(b)
	case len(c.unsent().replies)+len(b) > maxReplies:
		c.fail(ErrReplies)
	default:
		k := c.unsent()
		k.replies = append(k.replies, b...)
	}
}

// start writes b as far as that is possible at once, and keeps the rest. Called
// with mu held, when nothing is kept.
func (c *Conn) start(b []byte) {
	n, err := c.link.send(c, b)
	if err != nil {
		c.fail(err)
		return
	}
	if n < len(b) {
		c.set(&unsent{rest: b[n:]}, c.closeState())
		c.link.keep(c)
	}
}

// Backlogged reports whether something is kept, or nothing is taken yet.
func (c *Conn) Backlogged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == nil || c.unsent() != nil
}

// Resume reads on after a Pause; next, Continue or Partial, is what Data would say.
func (c *Conn) Resume(next Next) {
	c.mu.Lock()
	c.pauses--
	c.took(next)
	c.markActive() // the silence was ours
	c.mu.Unlock()
	c.link.resume(c)
}

// took notes how the owner wants to go on. Called with mu held.
func (c *Conn) took(next Next) {
	switch {
	case next == Pause:
		c.pauses++
		c.since = 0
	case next == Continue:
		c.since = 0
	case c.since == 0:
		c.since = c.poller().now.Load()
		c.poller().conns.lookAt(c, c.since+c.poller().partial)
	}
}

// paused reports whether nothing is to be read. Called with mu held.
func (c *Conn) paused() bool { return c.pauses > 0 && !c.closing }

// Close writes last after what is kept, and then waits a moment for the peer to
// hang up. The first call counts.
func (c *Conn) Close(last []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.closing {
		return
	}
	if k := c.unsent(); k != nil {
		k.replies = append(k.replies, last...)
	} else if len(last) > 0 {
		c.start(last)
	}
	if c.closing { // the write failed
		return
	}
	// Whoever does not read its goodbye, or does not hang up, is not waited for.
	until := c.poller().now.Load() + c.poller().closeState
	c.closing = true
	c.set(c.unsent(), &closeState{why: ErrClosed, until: until})
	c.poller().conns.lookAt(c, until)
	if c.unsent() == nil {
		c.link.halfClose(c)
	}
	c.link.wake(c)
}

// fail ends the socket at once. Called with mu held.
func (c *Conn) fail(err error) {
	if g := c.closeState(); g == nil || errors.Is(g.why, ErrClosed) {
		c.set(c.unsent(), &closeState{why: err, until: never})
	}
	c.closing = true
	c.link.end(c)
	c.link.wake(c)
}

func (c *Conn) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

// isClosing reports whether what still comes is nobody's business.
func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// ended is called by the reader, once, when nothing more can be read.
func (c *Conn) ended(err error) {
	c.mu.Lock()
	why := err
	if g := c.closeState(); g != nil {
		why = g.why
	}
	c.closing = true
	c.set(nil, c.closeState())
	c.mu.Unlock()
	c.handler.Closed(c, why)
	c.poller().conns.remove(c)
}

// look is called by the sweep when something is due. It gives the tick at which to
// look again.
func (c *Conn) look(now uint32) (again uint32) {
	p := c.poller()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		g := c.closeState()
		if g == nil { // it has ended
			return never
		}
		if now >= g.until {
			c.fail(ErrClosed)
		}
		return c.closeState().until
	}
	if c.pauses > 0 {
		c.seen.Store(now) // nobody reads, so nothing can have come
	}
	seen := c.seen.Load()
	if silent := now - min(seen, now); silent >= 2*p.beat {
		c.fail(ErrHalfOpen)
		return never
	}
	again = seen + p.beat
	if now >= again {
		again = seen + 2*p.beat
		if c.asked != seen {
			c.asked = seen
			c.call(c.handler.Idle)
		}
	}
	if c.since != 0 && !c.closing {
		if now-c.since >= p.partial {
			c.call(c.handler.PartialTimeout)
			return now + 1
		}
		again = min(again, c.since+p.partial)
	}
	return again
}

// call calls the owner without the lock, which is held before and after.
func (c *Conn) call(f func(*Conn)) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f(c)
}
