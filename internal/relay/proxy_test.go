package relay_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy is the network between two nodes.
type proxy struct {
	t        testing.TB
	l        net.Listener
	target   string
	cut      atomic.Bool    // no connections
	unlinked [2]atomic.Bool // to the target, and back: everything is swallowed
	done     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]bool
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, target: target, conns: make(map[net.Conn]bool)}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.end()
		p.done.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.l.Addr().String() }

func (p *proxy) accept() {
	for {
		from, err := p.l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.target)
		if err != nil || p.cut.Load() {
			_ = from.Close()
			if err == nil {
				_ = to.Close()
			}
			continue
		}
		p.mu.Lock()
		p.conns[from], p.conns[to] = true, true
		p.mu.Unlock()
		p.done.Go(func() { p.pump(to, from, 0) })
		p.done.Go(func() { p.pump(from, to, 1) })
	}
}

func (p *proxy) pump(to, from net.Conn, way int) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if !p.unlinked[way].Load() && n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// end resets what goes through.
func (p *proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// sever lets nothing through any more, and mend everything.
func (p *proxy) sever() { p.cut.Store(true); p.end() }

func (p *proxy) mend() {
	p.cut.Store(false)
	for way := range p.unlinked {
		p.unlinked[way].Store(false)
	}
}
