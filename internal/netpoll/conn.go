package netpoll

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one socket. Its methods may be called from any goroutine.
type Conn struct {
	poller  *Poller
	nc      net.Conn
	raw     syscall.RawConn // nil when writes cannot be tried without waiting
	handler Handler
	seen    atomic.Int64 // when something was last read, in Unix nanoseconds
	asked   atomic.Bool  // Idle was called since

	mu      sync.Mutex // guards what follows
	reading sync.Cond
	pauses  int    // Pause answers less Resume calls: the latter may come first
	rest    []byte // of one write, shared with other sockets
	replies []byte // to be written after rest
	writing bool   // a goroutine writes what is kept
	closing bool   // nothing more is taken; the peer is waited for
	why     error  // the first reason to close
}

func (c *Conn) touch() {
	c.seen.Store(time.Now().UnixNano())
	c.asked.Store(false)
}

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Write hands b, which nobody may change any more, to the kernel. What the kernel
// does not take is kept, by reference. While something is kept, or once the socket
// is closed, Write takes nothing and reports false; Handler.Writable tells when
// what was kept is gone.
func (c *Conn) Write(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.writing {
		return false
	}
	c.start(b)
	return true
}

// Reply hands over b as Write does, but keeps it behind what is kept already. Who
// replies has paused reading, so that a peer cannot make more than a few pile up;
// one who manages all the same is closed with ErrReplies.
func (c *Conn) Reply(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closing:
	case !c.writing:
		c.start(b)
	case len(c.replies)+len(b) > maxReplies:
		c.fail(ErrReplies)
	default:
		c.replies = append(c.replies, b...)
	}
}

// start writes b as far as that is possible at once, and leaves the rest to a
// goroutine. Called with mu held, when nothing is kept.
func (c *Conn) start(b []byte) {
	n, err := writeNow(c.raw, b)
	if err != nil {
		c.fail(err)
		return
	}
	if n < len(b) {
		c.rest, c.writing = b[n:], true
		c.poller.done.Add(1)
		go c.flush() // ends when nothing is kept, or the socket is closed
	}
}

// flush writes what is kept.
func (c *Conn) flush() {
	defer c.poller.done.Done()
	for {
		b, ok := c.kept()
		if !ok {
			return
		}
		if _, err := c.nc.Write(b); err != nil {
			c.mu.Lock()
			c.fail(err)
			c.rest, c.replies = nil, nil
			c.mu.Unlock()
			return
		}
	}
}

// kept gives what is to be written next; ok is false when there is nothing more.
func (c *Conn) kept() (b []byte, ok bool) {
	c.mu.Lock()
	if b = c.rest; b != nil {
		c.rest = nil
	} else {
		b, c.replies = c.replies, nil
	}
	if len(b) > 0 {
		c.mu.Unlock()
		return b, true
	}
	c.writing = false
	closing := c.closing
	if closing {
		c.halfClose()
	}
	c.mu.Unlock()
	if !closing {
		c.handler.Writable(c)
	}
	return nil, false
}

// Backlogged reports whether something is kept.
func (c *Conn) Backlogged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writing
}

// Resume reads on after a Pause.
func (c *Conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pauses--
	c.reading.Signal()
}

func (c *Conn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pauses++
}

// waitForResume waits while the owner wants nothing read.
func (c *Conn) waitForResume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.pauses > 0 && !c.closing {
		c.reading.Wait()
	}
}

// Close writes last after what is kept, and then waits a moment for the peer to
// hang up. The first call counts.
func (c *Conn) Close(last []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	if c.writing {
		c.replies = append(c.replies, last...)
	} else if len(last) > 0 {
		c.start(last)
	}
	if c.closing { // the write failed
		return
	}
	c.closing, c.why = true, ErrClosed
	// Whoever does not read its goodbye, or does not hang up, is not waited for.
	if err := c.nc.SetDeadline(time.Now().Add(closeTimeout)); err != nil {
		c.why = err
	}
	if !c.writing {
		c.halfClose()
	}
	c.reading.Signal()
}

// halfClose tells the peer that nothing more comes. Called with mu held.
func (c *Conn) halfClose() {
	if w, ok := c.nc.(closeWriter); ok && w.CloseWrite() == nil {
		return
	}
	c.nc.Close()
}

// fail ends the socket at once. Called with mu held.
func (c *Conn) fail(err error) {
	if c.why == nil || errors.Is(c.why, ErrClosed) {
		c.why = err
	}
	c.closing = true
	c.nc.Close()
	c.reading.Signal()
}

func (c *Conn) abort(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(err)
}

// read hands what comes to the owner until the socket ends.
func (c *Conn) read(leftover []byte) {
	defer c.poller.remove(c)
	if len(leftover) > 0 && c.handler.Data(c, leftover) == Pause {
		c.pause()
	}
	var err error
	for err == nil {
		c.waitForResume()
		err = c.readOnce()
	}
	c.mu.Lock()
	if c.why == nil {
		c.why = err
	}
	c.closing = true
	why := c.why
	c.mu.Unlock()
	c.nc.Close()
	c.handler.Closed(c, why)
}

func (c *Conn) readOnce() error {
	buffer := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buffer)
	n, err := c.nc.Read(buffer[:])
	if n > 0 {
		c.touch()
		if !c.isClosing() && c.handler.Data(c, buffer[:n]) == Pause {
			c.pause()
		}
	}
	return err
}

func (c *Conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}
