package gateway

import (
	"net/netip"
	"sync"
)

// registry holds all open sockets, and the counts that limits apply to.
type registry struct {
	mu        sync.Mutex // guards what follows
	open      []*session // each knows its index
	internal  int        // how many of open are internal; they are not counted elsewhere
	reserved  int        // handshakes under way and open sockets
	addresses map[netip.Addr]int
}

func (r *registry) init() { r.addresses = make(map[netip.Addr]int) }

// reserve counts a handshake. It returns false if a limit is reached; a limit of 0 is
// none.
func (r *registry) reserve(address netip.Addr, maxSockets, maxPerAddress int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if maxSockets > 0 && r.reserved >= maxSockets {
		return false
	}
	if maxPerAddress > 0 {
		if r.addresses[address] >= maxPerAddress {
			return false
		}
		r.addresses[address]++
	}
	r.reserved++
	return true
}

// release undoes reserve: the handshake failed, or the socket is closed.
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
	s.index = int32(len(r.open))
	r.open = append(r.open, s)
	if s.isInternal() {
		r.internal++
	}
	return len(r.open) - r.internal
}

func (r *registry) remove(s *session) (total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.isInternal() {
		r.internal--
	}
	last := len(r.open) - 1
	moved := r.open[last]
	r.open[s.index], moved.index = moved, s.index
	r.open[last] = nil
	r.open = r.open[:last]
	return len(r.open) - r.internal
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.open) - r.internal
}

func (r *registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*session(nil), r.open...)
}
