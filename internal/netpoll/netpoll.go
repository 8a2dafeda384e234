// Package netpoll moves bytes between sockets and their owners without ever making
// the owner wait for a peer. It knows nothing of WebSocket.
//
// A socket has one goroutine, parked in a read. What a peer does not take at once
// is kept, at most one write and the replies behind it, and written by a goroutine
// that ends when it is gone. One ticker serves the heartbeats of all sockets.
package netpoll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Next says how to go on after Handler.Data.
type Next bool

// Continue reads on. Pause reads nothing more until Conn.Resume, so that the
// kernel holds the peer back.
const (
	Continue Next = true
	Pause    Next = false
)

// Handler owns a socket. Data, Idle and Closed are never called at the same time
// for one socket, except that Idle may be called while Data runs; Writable may be
// called at any time. None may block.
type Handler interface {
	// Data is handed bytes just read. p may be changed, and belongs to the poller
	// again on return.
	Data(c *Conn, p []byte) Next
	// Writable says that what Write had kept is gone.
	Writable(c *Conn)
	// Idle says that nothing was read for a heartbeat. When nothing is read for
	// another, the socket is closed.
	Idle(c *Conn)
	// Closed is the last call: io.EOF when the peer hung up, ErrClosed after
	// Conn.Close, ErrHalfOpen, ErrReplies or a network error otherwise.
	Closed(c *Conn, err error)
}

// Why a socket was closed from this side.
var (
	ErrClosed   = errors.New("closed by this side")
	ErrHalfOpen = errors.New("nothing was read for two heartbeats")
	ErrReplies  = errors.New("the peer does not read its answers")
)

// errStopped: the poller takes no more sockets.
var errStopped = errors.New("the poller is closed")

// Options say how a Poller works.
type Options struct {
	// Heartbeat is after how much silence Idle is called. Default 30 s.
	Heartbeat time.Duration
}

// closeTimeout is how long a closed socket may take to say goodbye.
const closeTimeout = 2 * time.Second

// readBuffer is the size of one read.
const readBuffer = 4 << 10

// maxReplies bounds what Conn.Reply keeps for a peer that does not read.
const maxReplies = 256 << 10

var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// Poller has the sockets. Make one with New; Close ends it.
type Poller struct {
	options Options
	stop    context.CancelFunc
	done    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	conns  map[*Conn]struct{}
	closed bool
}

// New starts a Poller.
func New(o Options) (*Poller, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = 30 * time.Second
	}
	if o.Heartbeat < 0 {
		return nil, fmt.Errorf("a heartbeat of %v", o.Heartbeat)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &Poller{options: o, stop: stop, conns: make(map[*Conn]struct{})}
	p.done.Go(func() { p.beat(ctx) }) // ends with Close
	return p, nil
}

// Driver names how sockets are waited for.
func (p *Poller) Driver() string { return "goroutine" }

// Len is how many sockets there are.
func (p *Poller) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

// Add takes a socket over. leftover are bytes that were read from it already.
// Handler calls may come before Add returns.
func (p *Poller) Add(nc net.Conn, leftover []byte, h Handler) (*Conn, error) {
	c := &Conn{poller: p, nc: nc, handler: h}
	c.raw = rawConn(nc)
	c.reading.L = &c.mu
	if tcp, ok := nc.(*net.TCPConn); ok {
		tune(tcp, 2*p.options.Heartbeat)
	}
	c.touch()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errors.Join(errStopped, nc.Close())
	}
	p.conns[c] = struct{}{}
	p.done.Add(1)
	p.mu.Unlock()
	go c.read(leftover) // ends when the socket is closed
	return c, nil
}

func (p *Poller) remove(c *Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	p.done.Done()
}

func (p *Poller) all() []*Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*Conn, 0, len(p.conns))
	for c := range p.conns {
		all = append(all, c)
	}
	return all
}

// beat looks four times a heartbeat for sockets that are silent.
func (p *Poller) beat(ctx context.Context) {
	t := time.NewTicker(p.options.Heartbeat / 4)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.sweep(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (p *Poller) sweep(now time.Time) {
	for _, c := range p.all() {
		switch silent := now.Sub(time.Unix(0, c.seen.Load())); {
		case silent >= 2*p.options.Heartbeat:
			c.abort(ErrHalfOpen)
		case silent >= p.options.Heartbeat && !c.asked.Swap(true):
			c.handler.Idle(c)
		}
	}
}

// Close closes all sockets and waits until everything that the poller started has
// ended; when ctx ends first, peers are no longer waited for.
func (p *Poller) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, c := range p.all() {
		c.Close(nil)
	}
	p.stop()
	finished := make(chan struct{})
	go func() { // ends when the sockets have, which abort sees to
		p.done.Wait()
		close(finished)
	}()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		for _, c := range p.all() {
			c.abort(ErrClosed)
		}
		<-finished
		return ctx.Err()
	}
}

// closeWriter is what TCP and TLS connections have.
type closeWriter interface{ CloseWrite() error }

var (
	_ closeWriter = (*net.TCPConn)(nil)
	_ closeWriter = (*tls.Conn)(nil)
)
