package gateway

import "sync"

// registry is every open socket, for what concerns all of them, and the counts
// that limits are about.
type registry struct {
	mu        sync.Mutex // guards what follows
	open      map[*session]struct{}
	own       int // of them the process's own, of which nobody wants to know
	reserved  int // handshakes under way and open sockets
	addresses map[string]int
}

func (r *registry) init() {
	r.open = make(map[*session]struct{})
	r.addresses = make(map[string]int)
}

// reserve counts a handshake in, unless that would be one too many.
func (r *registry) reserve(address string, inAll, perAddress int) bool {
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
func (r *registry) release(address string) {
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
	r.open[s] = struct{}{}
	if s.own {
		r.own++
	}
	return len(r.open) - r.own
}

func (r *registry) remove(s *session) (total int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, open := r.open[s]; open && s.own {
		r.own--
	}
	delete(r.open, s)
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
	all := make([]*session, 0, len(r.open))
	for s := range r.open {
		all = append(all, s)
	}
	return all
}
