// Package netpoll moves bytes between sockets and their owners without ever making
// the owner wait for a peer. It knows nothing of WebSocket.
//
// It has two drivers. With epoll (plain TCP on Linux) an idle socket is a small
// struct: no goroutine, no buffer, no timer. Elsewhere, and for TLS, it has one
// goroutine, parked, which borrows a buffer only when there is something to read.
// What a peer does not take at once is kept, at most one write and the replies
// behind it. One ticker serves the heartbeats and deadlines of all sockets.
package netpoll

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Next says how to go on after Handler.Data.
type Next uint8

const (
	// Continue reads on.
	Continue Next = iota
	// Partial reads on as well, but not for ever: what was handed over ends within
	// something that has to be whole within Options.Partial.
	Partial
	// Pause reads nothing more until Conn.Resume, so that the kernel holds the peer
	// back.
	Pause
)

// Handler owns a socket. Data and Closed are never called at the same time for one
// socket; the others may be called at any time. None may block.
type Handler interface {
	// Data is handed bytes just read. p may be changed, and belongs to the poller
	// again on return.
	Data(c *Conn, p []byte) Next
	// Writable says that what Write had kept is gone.
	Writable(c *Conn)
	// Idle says that nothing was read for a heartbeat. When nothing is read for
	// another, the socket is closed.
	Idle(c *Conn)
	// PartialTimeout says that something is partial for longer than it may be. It is called
	// again and again until the owner closes the socket, or it is whole.
	PartialTimeout(c *Conn)
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

// Driver is a way to wait for sockets.
type Driver string

// The drivers. Auto is the best one that there is here.
const (
	Auto      Driver = "auto"
	Epoll     Driver = "epoll"
	Goroutine Driver = "goroutine"
)

// Options say how a Poller works.
type Options struct {
	// Driver says how sockets are waited for. Default Auto.
	Driver Driver
	// Heartbeat is after how much silence Idle is called. Default 30 s.
	Heartbeat time.Duration
	// Partial is how long something may be partial. Default 30 s.
	Partial time.Duration
}

// closeTimeout is how long a closed socket may take to say goodbye.
const closeTimeout = 2 * time.Second

// readBuffer is the size of one read.
const readBuffer = 16 << 10

// maxReads is how often a socket is read from before others have their turn.
const maxReads = 4

// maxReplies bounds what Conn.Reply keeps for a peer that does not read.
const maxReplies = 256 << 10

var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// Poller has the sockets. Make one with New; Close ends it.
type Poller struct {
	driver     Driver
	kernel     *kernel // nil with the goroutine driver
	heartbeat  time.Duration
	tick       time.Duration
	beat       uint32 // heartbeat, in ticks
	partial    uint32 // Options.Partial, in ticks
	closeState uint32 // closeTimeout, in ticks
	now        atomic.Uint32
	stop       context.CancelFunc
	ticking    sync.WaitGroup
	conns      table
}

// maxTick bounds how coarse heartbeats and deadlines are.
const maxTick = 500 * time.Millisecond

// New starts a Poller.
func New(o Options) (*Poller, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = 30 * time.Second
	}
	if o.Partial == 0 {
		o.Partial = 30 * time.Second
	}
	if o.Heartbeat < 0 || o.Partial < 0 {
		return nil, fmt.Errorf("a heartbeat of %v, %v for what is partial", o.Heartbeat, o.Partial)
	}
	p := &Poller{driver: Goroutine, heartbeat: o.Heartbeat, tick: max(min(o.Heartbeat/4, o.Partial/4, maxTick), time.Millisecond)}
	p.beat, p.partial, p.closeState = p.ticks(o.Heartbeat), p.ticks(o.Partial), p.ticks(closeTimeout)
	p.now.Store(1) // 0 is no tick
	if err := p.choose(o.Driver); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.ticking.Go(func() { p.run(ctx) }) // ends with Close
	return p, nil
}

func (p *Poller) choose(d Driver) (err error) {
	switch d {
	case Goroutine:
		return nil
	case Auto, "", Epoll:
	default:
		return fmt.Errorf("no driver is called %q", d)
	}
	if p.kernel, err = newKernel(p); err == nil {
		p.driver = Epoll
		return nil
	}
	if d != Epoll && errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("start epoll: %w", err)
}

func (p *Poller) ticks(d time.Duration) uint32 { return uint32(max((d+p.tick-1)/p.tick, 1)) }

// Driver names how plain sockets are waited for.
func (p *Poller) Driver() Driver { return p.driver }

// Len is how many sockets there are.
func (p *Poller) Len() int { return p.conns.len() }

// Add takes a socket over. leftover are bytes that were read from it already.
// Handler calls may come before Add returns; when it fails, the socket is closed
// and Closed is not called.
func (p *Poller) Add(nc net.Conn, leftover []byte, h Handler) (*Conn, error) {
	c := new(Conn)
	return c, p.AddTo(c, nc, leftover, h)
}

// AddTo is Add for a Conn that is a part of something.
func (p *Poller) AddTo(c *Conn, nc net.Conn, leftover []byte, h Handler) error {
	if tcp, _ := tcpOf(nc); tcp != nil {
		tune(tcp, 2*p.heartbeat)
	}
	c.seen.Store(p.now.Load())
	tcp, isTCP := nc.(*net.TCPConn)
	var err error
	if isTCP && p.kernel != nil {
		err = p.kernel.adopt(c, tcp, leftover, h)
	} else {
		err = p.adopt(c, nc, leftover, h)
	}
	if err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// run looks at every tick for sockets of which something is due.
func (p *Poller) run(ctx context.Context) {
	t := time.NewTicker(p.tick)
	defer t.Stop()
	start := time.Now()
	for {
		select {
		case <-t.C:
			// By the clock: ticks are dropped when the machine is busy or asleep.
			now := uint32(time.Since(start)/p.tick) + 1
			p.now.Store(now)
			p.conns.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

// Close closes all sockets and waits until everything that the poller started has
// ended; when ctx ends first, peers are no longer waited for.
func (p *Poller) Close(ctx context.Context) error {
	for _, c := range p.conns.close() {
		c.Close(nil)
	}
	finished := make(chan struct{})
	go func() { // ends when the sockets have, which abort sees to
		p.conns.done.Wait()
		close(finished)
	}()
	var err error
	select {
	case <-finished:
	case <-ctx.Done():
		for _, c := range p.conns.close() {
			c.abort(ErrClosed)
		}
		<-finished
		err = ctx.Err()
	}
	p.stop()
	p.ticking.Wait()
	if p.kernel != nil {
		err = errors.Join(err, p.kernel.close())
	}
	return err
}

// closeWriter is what TCP and TLS connections have.
type closeWriter interface{ CloseWrite() error }

var (
	_ closeWriter = (*net.TCPConn)(nil)
	_ closeWriter = (*tls.Conn)(nil)
)
