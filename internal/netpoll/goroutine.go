package netpoll

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// netConn is the link of the goroutine driver: a net.Conn with one goroutine that
// reads.
type netConn struct {
	poller  *Poller
	nc      net.Conn
	raw     syscall.RawConn // for writes that do not block; nil if that is not possible
	ready   syscall.RawConn // for waiting without a buffer; nil if that is not possible
	full    bool            // the last read filled the buffer, so more may be buffered above ready
	reading sync.Cond
}

var _ link = (*netConn)(nil)

// adopt starts to read from nc for c.
func (p *Poller) adopt(c *Conn, nc net.Conn, leftover []byte, h Handler) error {
	n := &netConn{poller: p, nc: nc, raw: rawConn(nc), ready: readinessConn(nc)}
	n.reading.L = &c.mu
	c.open(h, n, -1, false)
	if _, err := p.conns.add(c, c.lastRead.Load()+p.heartbeatTicks); err != nil {
		return errors.Join(err, nc.Close())
	}
	go n.read(c, leftover) // ends when the socket is closed
	return nil
}

func (n *netConn) owner() *Poller { return n.poller }

func (n *netConn) send(_ *Conn, b []byte) (int, error) { return writeNow(n.raw, b) }

func (n *netConn) flushLater(c *Conn) {
	n.poller.conns.done.Add(1)
	go n.flush(c) // ends when nothing is unsent, or the socket is closed
}

func (n *netConn) halfClose(*Conn) {
	if w, ok := n.nc.(closeWriter); ok && w.CloseWrite() == nil {
		return
	}
	n.nc.Close()
}

func (n *netConn) end(*Conn)             { n.nc.Close() }
func (n *netConn) wake(*Conn)            { n.reading.Signal() }
func (n *netConn) resume(*Conn)          { n.reading.Signal() }
func (n *netConn) remote(*Conn) net.Addr { return n.nc.RemoteAddr() }

// flush sends what is unsent.
func (n *netConn) flush(c *Conn) {
	defer n.poller.conns.done.Done()
	for {
		b, ok := n.nextUnsent(c)
		if !ok {
			return
		}
		if _, err := n.nc.Write(b); err != nil {
			c.abort(err)
			return
		}
	}
}

// nextUnsent returns what to send next. ok is false when nothing is left.
func (n *netConn) nextUnsent(c *Conn) (b []byte, ok bool) {
	c.mu.Lock()
	u := c.unsent()
	if u == nil { // the socket has ended
		c.mu.Unlock()
		return nil, false
	}
	if b = u.rest; b != nil {
		u.rest = nil
	} else {
		b, u.replies = u.replies, nil
	}
	if len(b) > 0 {
		c.mu.Unlock()
		return b, true
	}
	c.setPending(nil, c.closeState())
	closing := c.closing
	if closing {
		n.halfClose(c)
	}
	c.mu.Unlock()
	if !closing {
		c.handler.Writable(c)
	}
	return nil, false
}

// read passes what arrives to the handler until the socket ends.
func (n *netConn) read(c *Conn, leftover []byte) {
	if len(leftover) > 0 {
		n.deliver(c, leftover)
	}
	var err error
	for err == nil {
		n.waitForResume(c)
		err = n.readOnce(c)
	}
	n.nc.Close()
	c.ended(err)
}

// waitForResume blocks while reading is paused.
func (n *netConn) waitForResume(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused() {
		n.reading.Wait()
	}
}

func (n *netConn) readOnce(c *Conn) error {
	buffer, size, err := n.readBuffered()
	if size > 0 {
		c.markActive()
		n.deliver(c, buffer[:size])
	}
	if buffer != nil {
		buffers.Put(buffer)
	}
	return err
}

// deliver passes bytes to the handler, unless the socket is closing.
func (n *netConn) deliver(c *Conn, p []byte) {
	if c.isClosing() {
		return
	}
	next := c.handler.Data(c, p)
	c.mu.Lock()
	c.setNext(next)
	c.mu.Unlock()
}
