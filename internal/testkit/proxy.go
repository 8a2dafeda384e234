package testkit

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy that misbehaves as networks do.
type Proxy struct {
	listener net.Listener
	targets  []string
	next     atomic.Uint32
	avoided  atomic.Pointer[string]
	maxDelay atomic.Int64 // nanoseconds
	severed  atomic.Bool
	silent   [2]atomic.Bool // by Direction
	inspect  func(reply []byte) (pass bool)

	mu    sync.Mutex // guards what follows
	links map[*Link]struct{}
	done  sync.WaitGroup
}

// Direction is a way through a Proxy.
type Direction int

// The directions.
const (
	ToServer Direction = iota
	ToClient
)

// Link is one connection through a Proxy.
type Link struct {
	client, server net.Conn
	silent         atomic.Bool
	cutting        atomic.Bool
}

const proxyDialTimeout = time.Second

// NewProxy starts a proxy that connects to each target in turn; targets that do not
// accept a connection are skipped. Close stops it.
func NewProxy(targets ...string) (*Proxy, error) { return NewInspectingProxy(nil, targets...) }

// NewInspectingProxy is NewProxy with a function that is called with each piece that
// a server sends. When it returns false, the proxy ends the connection instead of
// passing the piece on.
func NewInspectingProxy(inspect func(reply []byte) (pass bool), targets ...string) (*Proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a proxy: %w", err)
	}
	p := &Proxy{listener: l, targets: targets, inspect: inspect, links: make(map[*Link]struct{})}
	p.done.Go(p.accept) // ends when Close closes the listener
	return p, nil
}

// StartProxy is NewProxy for a test.
func StartProxy(t testing.TB, targets ...string) *Proxy {
	t.Helper()
	p, err := NewProxy(targets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// URL is where the proxy listens, for HTTP.
func (p *Proxy) URL() string { return "http://" + p.Address() }

// Avoid makes the proxy skip a target, as a balancer does that knows that a server is
// not ready; "" for none.
func (p *Proxy) Avoid(target string) { p.avoided.Store(&target) }

// Delay holds every piece back for a random time up to a maximum.
func (p *Proxy) Delay(maximum time.Duration) { p.maxDelay.Store(int64(maximum)) }

// Silence makes the proxy read from all connections in one direction and pass nothing
// on.
func (p *Proxy) Silence(d Direction) { p.silent[d].Store(true) }

// Sever ends all connections, and accepts none until Restore.
func (p *Proxy) Sever() {
	p.severed.Store(true)
	p.Reset()
}

// Refuse makes the proxy refuse new connections, or accept them again.
func (p *Proxy) Refuse(yes bool) { p.severed.Store(yes) }

// Restore undoes Sever and Silence.
func (p *Proxy) Restore() {
	p.severed.Store(false)
	for d := range p.silent {
		p.silent[d].Store(false)
	}
}

// Reset resets all connections.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.Reset()
	}
}

// Some returns each link with the probability given.
func (p *Proxy) Some(r *rand.Rand, probability float64) (some []*Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		if r.Float64() < probability {
			some = append(some, l)
		}
	}
	return some
}

// Close resets all connections and stops the proxy.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Sever()
	p.done.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.serve(client) }) // ends with the connection
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := p.dial()
	if err != nil {
		reset(client)
		return
	}
	l := &Link{client: client, server: server}
	if !p.add(l) {
		l.Reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, server, client, ToServer) }) // ends with the connection
	p.pump(l, client, server, ToClient)
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// add keeps a link, unless the proxy was severed meanwhile.
func (p *Proxy) add(l *Link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.severed.Load() {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

func (p *Proxy) dial() (c net.Conn, err error) {
	first := int(p.next.Add(1))
	for i := range p.targets {
		if p.severed.Load() {
			return nil, net.ErrClosed
		}
		target := p.targets[(first+i)%len(p.targets)]
		if avoided := p.avoided.Load(); avoided != nil && *avoided == target {
			continue
		}
		if c, err = (&net.Dialer{Timeout: proxyDialTimeout}).
			Dial("tcp", target); err == nil {
			return c, nil
		}
	}
	return nil, cmp.Or(err, net.ErrClosed)
}

// pump copies one direction until a side ends.
func (p *Proxy) pump(l *Link, to, from net.Conn, d Direction) {
	defer l.Reset()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if maximum := p.maxDelay.Load(); maximum > 0 && n > 0 {
			time.Sleep(time.Duration(rand.Int64N(maximum)))
		}
		if !p.pass(l, to, buf[:n], d) || err != nil {
			return
		}
	}
}

// pass writes a piece, and reports whether the connection goes on.
func (p *Proxy) pass(l *Link, to net.Conn, piece []byte, d Direction) bool {
	switch {
	case len(piece) == 0, l.silent.Load(), p.silent[d].Load():
		return true
	case d == ToClient && p.inspect != nil && !p.inspect(piece):
		return false
	case l.cutting.Load() && len(piece) > 1:
		_, _ = to.Write(piece[:len(piece)/2])
		return false
	}
	_, err := to.Write(piece)
	return err == nil
}

// Silence makes the connection half-open: the proxy reads from both sides and passes
// nothing on.
func (l *Link) Silence() { l.silent.Store(true) }

// Cut passes half of the next piece on, and resets the connection.
func (l *Link) Cut() { l.cutting.Store(true) }

// Reset resets both sides.
func (l *Link) Reset() {
	reset(l.client)
	reset(l.server)
}

func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}
