package gateway

import (
	"net/netip"
	"sync"
)

// registry is every open socket, for what concerns all of them, and the counts
// that limits are about.
type registry struct {
	mu        sync.Mutex // guards what follows
	open      []*session // each knows its place
	own       int        // of them the process's own, of which nobody wants to know
	reserved  int        // handshakes under way and open sockets
	addresses map[netip.Addr]int
}

func (r *registry) init() { r.addresses = make(map[netip.Addr]int) }

// reserve counts a handshake in, unless that would be one too many.
func (r *registry) reserve(address netip.Addr, inAll, perAddress int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if inAll > 0 && r.reserved >= inAll {
		return false
	}
	if perAddress > 0 {
		if r.addresses[address] >= perAddress {
			return false
		}
		r.addresses[address]++
	}
	r.reserved++
	return true
}

// release counts a handshake that failed, or a socket that closed, out.
func (r *registry) release(address netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved--
	if n, counted := r.addresses[address]; counted {
		if n == 1 {
			delete(r.addresses, address)
		} else {
			r.addresses[address] = n - 1
		}
	}
}

func (r *registry) add(s *session) (total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.place = int32(len(r.open))
	r.open = append(r.open, s)
	if s.isInternal() {
		r.own++
	}
	return len(r.open) - r.own
}

func (r *registry) remove(s *session) (total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.isInternal() {
		r.own--
	}
	last := len(r.open) - 1
	moved := r.open[last]
	r.open[s.place], moved.place = moved, s.place
	r.open[last] = nil
	r.open = r.open[:last]
	return len(r.open) - r.own
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) - r.own
}

func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*session(nil), r.open...)
}
