package faults

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy is the network between clients and servers, or between two servers, at its
// worst.
type proxy struct {
	listener net.Listener
	targets  []string // each in turn, but for those that do not answer
	next     atomic.Uint32
	avoid    atomic.Pointer[string] // a target of which a balancer knows that it is not ready
	delay    atomic.Int64           // of each piece, at most, in nanoseconds
	shut     atomic.Bool            // nobody is let in
	deaf     [2]atomic.Bool         // nothing passes: to the server, and back

	mu    sync.Mutex // guards what follows
	links map[*link]struct{}
	done  sync.WaitGroup
}

// link is one client's connection.
type link struct {
	client, server net.Conn
	swallow        atomic.Bool // take everything and pass nothing on: half-open
	cut            atomic.Bool // pass half of the next piece on, then reset
}

func newProxy(targets ...string) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, targets: targets, links: make(map[*link]struct{})}
	p.done.Go(p.accept) // ends when close closes the listener
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) url() string { return "http://" + p.address() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) }) // ends with the connection
	}
}

func (p *proxy) serve(client net.Conn) {
	server, err := p.dial()
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, server, client) }) // ends with the connection
	p.pump(l, client, server)
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *proxy) dial() (c net.Conn, err error) {
	first := int(p.next.Add(1))
	for i := range p.targets {
		if p.shut.Load() {
			return nil, net.ErrClosed
		}
		target := p.targets[(first+i)%len(p.targets)]
		if avoid := p.avoid.Load(); avoid != nil && *avoid == target {
			continue
		}
		if c, err = (&net.Dialer{Timeout: time.Second}).Dial("tcp", target); err == nil {
			return c, nil
		}
	}
	return nil, cmp.Or(err, net.ErrClosed)
}

func (p *proxy) pump(l *link, to, from net.Conn) {
	defer l.end()
	way := 0
	if to == l.client {
		way = 1
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		piece := buf[:n]
		if d := p.delay.Load(); d > 0 && n > 0 {
			time.Sleep(time.Duration(rand.Int64N(d)))
		}
		switch {
		case l.swallow.Load() || p.deaf[way].Load():
			piece = nil
		case l.cut.Load() && n > 1:
			_, _ = to.Write(piece[:n/2])
			return
		}
		if _, werr := to.Write(piece); werr != nil || err != nil {
			return
		}
	}
}

// end resets both sides, as a network that fails does.
func (l *link) end() {
	reset(l.client)
	reset(l.server)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// some gives each link with the probability given.
func (p *proxy) some(r *rand.Rand, share float64) (some []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if r.Float64() < share {
			some = append(some, l)
		}
	}
	return some
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	for l := range p.links {
		l.end()
	}
	p.mu.Unlock()
	p.done.Wait()
}
