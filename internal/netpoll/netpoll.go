// Package netpoll moves bytes between sockets and their owners, without ever making an
// owner wait for a peer. It knows nothing about WebSocket.
//
// It has two drivers. With epoll (plain TCP on Linux) an idle socket is a small struct:
// no goroutine, no buffer, no timer. Elsewhere, and for TLS, it also has one parked
// goroutine, which takes a buffer only when there is something to read. What a peer does
// not accept at once is kept: at most one write and the replies behind it. One ticker
// serves the heartbeats and timeouts of all sockets.
package netpoll

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// Next is how reading goes on after Handler.Data.
type Next uint8

const (
	// Continue reads on.
	Continue Next = iota
	// Partial reads on, and starts Options.PartialTimeout: the bytes end within
	// something that is not complete.
	Partial
	// Pause reads nothing until Conn.Resume, so that the kernel slows the peer down.
	Pause
)

// Handler owns a socket. For one socket, Data and Closed are never called at the same
// time; the other methods may be called at any time. No method may block.
type Handler interface {
	// Data receives bytes that were read. It may change p, which belongs to the poller
	// again when Data returns.
	Data(c *Conn, p []byte) Next
	// Writable is called when all that Conn.Write had kept is sent.
	Writable(c *Conn)
	// Idle is called after a heartbeat in which nothing was read. After another one, the
	// socket is closed.
	Idle(c *Conn)
	// PartialTimeout is called when something is incomplete for longer than
	// Options.PartialTimeout, again and again until it is complete or the owner closes
	// the socket.
	PartialTimeout(c *Conn)
	// Closed is the last call. err is io.EOF if the peer hung up, ErrClosed after
	// Conn.Close, ErrHalfOpen, ErrReplies or a network error otherwise.
	Closed(c *Conn, err error)
}

// Reasons for which this side closed a socket.
var (
	ErrClosed   = errors.New("closed by this side")
	ErrHalfOpen = errors.New("nothing was read for two heartbeats")
	ErrReplies  = errors.New("the peer does not read its replies")
)

// errStopped refuses sockets once the poller is closed.
var errStopped = errors.New("the poller is closed")

// Driver is a way to wait for plain TCP sockets.
type Driver string

// Drivers. Auto is the best one on this system.
const (
	Auto      Driver = "auto"
	Epoll     Driver = "epoll"
	Goroutine Driver = "goroutine"
)

// Options configure a Poller.
type Options struct {
	// Driver is how to wait for plain TCP sockets. Default Auto.
	Driver Driver
	// Heartbeat is how long a socket may be silent before Idle is called. Default 30 s.
	Heartbeat time.Duration
	// PartialTimeout is how long something may be incomplete. Default 30 s.
	PartialTimeout time.Duration
}

const (
	// closeTimeout is how long a closed socket waits for its peer to hang up.
	closeTimeout = 2 * time.Second
	// bufferSize is the size of one read, in bytes.
	bufferSize = 16 << 10
	// maxReads is how often a socket is read before it is others' turn.
	maxReads = 4
	// maxReplies bounds what Conn.Reply keeps for a peer that does not read, in bytes.
	maxReplies = 256 << 10
	// maxTick bounds the precision of heartbeats and timeouts.
	maxTick = 500 * time.Millisecond
)

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Poller serves sockets. Create one with New; Close stops it.
type Poller struct {
	driver         Driver
	epoll          *epoll // nil with the goroutine driver
	heartbeat      time.Duration
	tick           time.Duration
	heartbeatTicks uint32
	partialTicks   uint32
	closeTicks     uint32
	now            atomic.Uint32 // in ticks
	stop           context.CancelFunc
	ticking        sync.WaitGroup
	conns          table
}

// WithDefaults returns o with its defaults filled in.
func (o Options) WithDefaults() Options {
	o.Heartbeat = cmp.Or(o.Heartbeat, 30*time.Second)
	o.PartialTimeout = cmp.Or(o.PartialTimeout, 30*time.Second)
	return o
}

// New returns a Poller that is running.
func New(o Options) (*Poller, error) {
	o = o.WithDefaults()
	if o.Heartbeat < 0 || o.PartialTimeout < 0 {
		return nil, fmt.Errorf("negative heartbeat %v or partial timeout %v", o.Heartbeat, o.PartialTimeout)
	}
	p := &Poller{
		driver: Goroutine, heartbeat: o.Heartbeat,
		tick: max(min(o.Heartbeat/4, o.PartialTimeout/4, maxTick), time.Millisecond),
	}
	p.heartbeatTicks, p.partialTicks = p.ticks(o.Heartbeat), p.ticks(o.PartialTimeout)
	p.closeTicks = p.ticks(closeTimeout)
	p.now.Store(1) // 0 means never
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
		return fmt.Errorf("unknown driver %q", d)
	}
	if p.epoll, err = newEpoll(p); err == nil {
		p.driver = Epoll
		return nil
	}
	if d != Epoll && errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("start epoll: %w", err)
}

// ticks returns d in ticks, rounded up.
func (p *Poller) ticks(d time.Duration) uint32 { return uint32(max((d+p.tick-1)/p.tick, 1)) }

// Driver returns the driver for plain TCP sockets.
func (p *Poller) Driver() Driver { return p.driver }

// Len returns the number of sockets.
func (p *Poller) Len() int { return p.conns.len() }

// Add takes over a socket, from which leftover has already been read. The Handler may
// be called before Add returns. If Add fails, the socket is closed and Handler.Closed
// is not called.
func (p *Poller) Add(nc net.Conn, leftover []byte, h Handler) (*Conn, error) {
	c := new(Conn)
	return c, p.AddTo(c, nc, leftover, h)
}

// AddTo is Add with memory for the Conn, such as a field of a struct.
func (p *Poller) AddTo(c *Conn, nc net.Conn, leftover []byte, h Handler) error {
	if tcp, _ := tcpOf(nc); tcp != nil {
		tune(tcp, 2*p.heartbeat)
	}
	c.lastRead.Store(p.now.Load())
	tcp, isTCP := nc.(*net.TCPConn)
	var err error
	if isTCP && p.epoll != nil {
		err = p.epoll.adopt(c, tcp, leftover, h)
	} else {
		err = p.adopt(c, nc, leftover, h)
	}
	if err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// run checks at every tick the sockets that are due, until ctx ends.
func (p *Poller) run(ctx context.Context) {
	start := time.Now()
	async.Every(ctx, p.tick, func() {
		// The clock counts, not the calls: some are skipped while the machine is busy or
		// asleep.
		now := uint32(time.Since(start)/p.tick) + 1
		p.now.Store(now)
		p.conns.sweep(now)
	})
}

// Close closes all sockets and waits until all goroutines of the poller have ended.
// Once ctx ends, it no longer waits for peers.
func (p *Poller) Close(ctx context.Context) error {
	for _, c := range p.conns.close() {
		c.Close(nil)
	}
	finished := make(chan struct{})
	go func() { // ends when the sockets are closed: by their peers, or by abort
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
	if p.epoll != nil {
		err = errors.Join(err, p.epoll.close())
	}
	return err
}

// closeWriter is implemented by TCP and TLS connections.
type closeWriter interface{ CloseWrite() error }

var (
	_ closeWriter = (*net.TCPConn)(nil)
	_ closeWriter = (*tls.Conn)(nil)
)
