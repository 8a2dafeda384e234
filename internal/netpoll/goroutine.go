package netpoll

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// wire is the goroutine driver's link: a net.Conn with one goroutine that reads.
type wire struct {
	poller  *Poller
	nc      net.Conn
	raw     syscall.RawConn // nil when the kernel cannot be written to without waiting
	wait    syscall.RawConn // nil when nothing tells that there is something to read
	full    bool            // the last read was, so there may be more where nothing tells of it
	reading sync.Cond
}

var _ link = (*wire)(nil)

// adopt starts to read from nc for c.
func (p *Poller) adopt(c *Conn, nc net.Conn, leftover []byte, h Handler) error {
	w := &wire{poller: p, nc: nc, raw: rawConn(nc), wait: waitConn(nc)}
	w.reading.L = &c.mu
	c.begin(h, w, -1, false)
	if _, err := p.conns.add(c, c.seen.Load()+p.beat); err != nil {
		return errors.Join(err, nc.Close())
	}
	go w.read(c, leftover) // ends when the socket is closed
	return nil
}

func (w *wire) owner() *Poller { return w.poller }

func (w *wire) send(_ *Conn, b []byte) (int, error) { return writeNow(w.raw, b) }

func (w *wire) keep(c *Conn) {
	w.poller.conns.done.Add(1)
	go w.flush(c) // ends when nothing is kept, or the socket is closed
}

func (w *wire) halfClose(*Conn) {
	if cw, ok := w.nc.(closeWriter); ok && cw.CloseWrite() == nil {
		return
	}
	w.nc.Close()
}

func (w *wire) end(*Conn)             { w.nc.Close() }
func (w *wire) wake(*Conn)            { w.reading.Signal() }
func (w *wire) resume(*Conn)          { w.reading.Signal() }
func (w *wire) remote(*Conn) net.Addr { return w.nc.RemoteAddr() }

// flush writes what is kept.
func (w *wire) flush(c *Conn) {
	defer w.poller.conns.done.Done()
	for {
		b, ok := w.next(c)
		if !ok {
			return
		}
		if _, err := w.nc.Write(b); err != nil {
			c.abort(err)
			return
		}
	}
}

// next gives what is to be written next; ok is false when there is nothing more.
func (w *wire) next(c *Conn) (b []byte, ok bool) {
	c.mu.Lock()
	k := c.unsent()
	if k == nil { // the socket has ended
		c.mu.Unlock()
		return nil, false
	}
	if b = k.rest; b != nil {
		k.rest = nil
	} else {
		b, k.replies = k.replies, nil
	}
	if len(b) > 0 {
		c.mu.Unlock()
		return b, true
	}
	c.set(nil, c.closeState())
	closing := c.closing
	if closing {
		w.halfClose(c)
	}
	c.mu.Unlock()
	if !closing {
		c.handler.Writable(c)
	}
	return nil, false
}

// read hands what comes to the owner until the socket ends.
func (w *wire) read(c *Conn, leftover []byte) {
	if len(leftover) > 0 {
		w.deliver(c, leftover)
	}
	var err error
	for err == nil {
		w.waitForResume(c)
		err = w.readOnce(c)
	}
	w.nc.Close()
	c.ended(err)
}

// waitForResume waits while the owner wants nothing read.
func (w *wire) waitForResume(c *Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.paused() {
		w.reading.Wait()
	}
}

func (w *wire) readOnce(c *Conn) error {
	buffer, n, err := w.readBuffered()
	if n > 0 {
		c.markActive()
		w.deliver(c, buffer[:n])
	}
	if buffer != nil {
		buffers.Put(buffer)
	}
	return err
}

// deliver gives bytes to the owner, unless the socket is closing.
func (w *wire) deliver(c *Conn, p []byte) {
	if c.isClosing() {
		return
	}
	next := c.handler.Data(c, p)
	c.mu.Lock()
	c.took(next)
	c.mu.Unlock()
}
