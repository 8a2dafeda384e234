package netpoll

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// Conn is one socket. Its methods may be called from any goroutine. Before it is added
// to a Poller, they do nothing, and Write returns false.
type Conn struct {
	handler  Handler
	link     link
	lastRead atomic.Uint32 // tick
	slot     uint32        // in the poller's table

	mu           sync.Mutex    // guards what follows
	pendingState *pendingState // nil while the socket is open and its peer has received everything
	fd           int32         // epoll: -1 once closed; only the reader closes it
	idleCalled   uint32        // value of lastRead for which Idle was called
	partialSince uint32        // tick since which something is incomplete; 0 for nothing
	pauses       int16         // Pause results minus Resume calls; Resume may come first
	closing      bool          // no more writes; waits for the peer to hang up
	reading      bool          // epoll: a goroutine is the reader
	unread       bool          // epoll: the kernel may have bytes that no one has read since its last event
	hup          bool          // epoll: the end was reported, so no event follows for what is before it
	queued       bool          // epoll: in the loop's queue
}

// pendingState is the rarely needed state of a socket.
type pendingState struct {
	unsent     *unsent     // nil if the peer has received everything
	closeState *closeState // nil until the socket is closed
}

// unsent is what the kernel has not accepted.
type unsent struct {
	rest    []byte // of one write, shared with other sockets
	replies []byte // to be sent after rest
}

// closeState is how a socket ends.
type closeState struct {
	err      error  // the first reason
	deadline uint32 // tick at which the socket stops waiting for its peer
}

// unsent returns what the peer has not received, nil for nothing. Called with mu held.
func (c *Conn) unsent() *unsent {
	if c.pendingState == nil {
		return nil
	}
	return c.pendingState.unsent
}

// closeState returns how the socket ends, nil while it is open. Called with mu held.
func (c *Conn) closeState() *closeState {
	if c.pendingState == nil {
		return nil
	}
	return c.pendingState.closeState
}

// setPending replaces the pending state. Called with mu held.
func (c *Conn) setPending(u *unsent, s *closeState) {
	if c.pendingState = nil; u != nil || s != nil {
		c.pendingState = &pendingState{u, s}
	}
}

// link is a driver's access to the kernel. All methods except owner and resume are
// called with the socket's mu held.
type link interface {
	// owner returns the poller.
	owner() *Poller
	// send writes as much as the kernel accepts without blocking.
	send(c *Conn, b []byte) (int, error)
	// flushLater arranges that what is unsent is sent when the kernel accepts more.
	flushLater(c *Conn)
	// halfClose sends the end of the stream.
	halfClose(c *Conn)
	// end breaks the connection. The reader then notices, and closes it.
	end(c *Conn)
	// wake makes a reader check the socket.
	wake(c *Conn)
	// resume reads on after a pause.
	resume(c *Conn)
	// remote returns the peer's address.
	remote(c *Conn) net.Addr
}

// open initializes c. It is the last step before other goroutines have c.
func (c *Conn) open(h Handler, l link, fd int, reading bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handler, c.link, c.fd, c.reading = h, l, int32(fd), reading
}

// poller returns the socket's poller. The link has it, because many sockets share one.
func (c *Conn) poller() *Poller { return c.link.owner() }

func (c *Conn) markActive() { c.lastRead.Store(c.poller().now.Load()) }

// RemoteAddr returns the peer's address, nil once the socket is closed.
func (c *Conn) RemoteAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil {
		return nil
	}
	return c.link.remote(c)
}

// Write sends b, which must not be changed afterwards: what the kernel does not accept
// is kept, by reference. While something is kept, or once the socket is closed, Write
// sends nothing and returns false. Handler.Writable is called when nothing is kept.
func (c *Conn) Write(b []byte) bool {
	c.mu.Lock()
	if c.link == nil || c.closing || c.unsent() != nil {
		c.mu.Unlock()
		return false
	}
	c.send(b)
	c.mu.Unlock()
	return true
}

// Reply sends b as Write does, but keeps it if something is kept already. An owner that
// replies has paused reading, so a peer cannot cause more than a few replies; a peer
// that does is closed with ErrReplies.
func (c *Conn) Reply(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.link == nil, c.closing:
	case c.unsent() == nil:
		c.send(b)
	case len(c.unsent().replies)+len(b) > maxReplies:
		c.fail(ErrReplies)
	default:
		u := c.unsent()
		u.replies = append(u.replies, b...)
	}
}

// send writes b and keeps what the kernel does not accept. Called with mu held, while
// nothing is kept.
func (c *Conn) send(b []byte) {
	n, err := c.link.send(c, b)
	if err != nil {
		c.fail(err)
		return
	}
	if n < len(b) {
		c.setPending(&unsent{rest: b[n:]}, c.closeState())
		c.link.flushLater(c)
	}
}

// Backlogged reports whether something is kept, or the socket is not open yet.
func (c *Conn) Backlogged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link == nil || c.unsent() != nil
}

// Resume reads on after a Pause. next is Continue or Partial, as Data returns it.
func (c *Conn) Resume(next Next) {
	c.mu.Lock()
	c.pauses--
	c.setNext(next)
	c.markActive() // the peer was not silent: nothing was read
	c.mu.Unlock()
	c.link.resume(c)
}

// setNext records how the owner wants to go on. Called with mu held.
func (c *Conn) setNext(next Next) {
	switch {
	case next == Pause:
		c.pauses++
		c.partialSince = 0
	case next == Continue:
		c.partialSince = 0
	case c.partialSince == 0:
		c.partialSince = c.poller().now.Load()
		c.poller().conns.schedule(c, c.partialSince+c.poller().partialTicks)
	}
}

// paused reports whether reading is paused. Called with mu held.
func (c *Conn) paused() bool { return c.pauses > 0 && !c.closing }

// Close sends last after what is kept, and then waits a moment for the peer to hang up.
// Further calls do nothing.
func (c *Conn) Close(last []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link == nil || c.closing {
		return
	}
	if u := c.unsent(); u != nil {
		u.replies = append(u.replies, last...)
	} else if len(last) > 0 {
		c.send(last)
	}
	if c.closing { // the write failed
		return
	}
	deadline := c.poller().now.Load() + c.poller().closeTicks
	c.closing = true
	c.setPending(c.unsent(), &closeState{err: ErrClosed, deadline: deadline})
	c.poller().conns.schedule(c, deadline)
	if c.unsent() == nil {
		c.link.halfClose(c)
	}
	c.link.wake(c)
}

// fail ends the socket at once. Called with mu held.
func (c *Conn) fail(err error) {
	if s := c.closeState(); s == nil || errors.Is(s.err, ErrClosed) {
		c.setPending(c.unsent(), &closeState{err: err, deadline: never})
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

// isClosing reports whether bytes that still arrive are dropped.
func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// ended is called by the reader, once, when nothing more can be read.
func (c *Conn) ended(err error) {
	c.mu.Lock()
	if s := c.closeState(); s != nil {
		err = s.err
	}
	c.closing = true
	c.setPending(nil, c.closeState())
	c.mu.Unlock()
	c.handler.Closed(c, err)
	c.poller().conns.remove(c)
}

// check is called by the sweep when something is due. It returns the tick of the next
// check.
func (c *Conn) check(now uint32) (next uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return c.checkClosing(now)
	}
	p := c.poller()
	if c.pauses > 0 {
		c.lastRead.Store(now) // the peer is not silent: nothing is read
	}
	lastRead := c.lastRead.Load()
	if silent := now - min(lastRead, now); silent >= 2*p.heartbeatTicks {
		c.fail(ErrHalfOpen)
		return never
	}
	next = lastRead + p.heartbeatTicks
	if now >= next {
		next = lastRead + 2*p.heartbeatTicks
		if c.idleCalled != lastRead {
			c.idleCalled = lastRead
			c.callUnlocked(c.handler.Idle)
		}
	}
	if c.partialSince != 0 && !c.closing {
		if now-c.partialSince >= p.partialTicks {
			c.callUnlocked(c.handler.PartialTimeout)
			return now + 1
		}
		next = min(next, c.partialSince+p.partialTicks)
	}
	return next
}

// checkClosing ends a closed socket if its peer does not hang up in time. Called with mu
// held.
func (c *Conn) checkClosing(now uint32) (next uint32) {
	s := c.closeState()
	if s == nil { // the socket has ended
		return never
	}
	if now >= s.deadline {
		c.fail(ErrClosed)
	}
	return c.closeState().deadline
}

// callUnlocked calls f without mu. Called with mu held, which it is again afterwards.
func (c *Conn) callUnlocked(f func(*Conn)) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f(c)
}
