package netpoll

import "sync"

// table holds all sockets of a Poller, and when to check each of them next. A slot keeps
// its number as the table grows. When a socket gives its slot up, the slot gets a new
// generation: an event for the old socket is not mistaken for one of the next.
type table struct {
	done sync.WaitGroup // sockets, and goroutines that flush them

	mu     sync.Mutex // guards what follows
	chunks []*chunk
	free   []uint32
	used   int
	closed bool
}

const chunkSize = 1024

type chunk [chunkSize]slot

type slot struct {
	conn       *Conn
	generation uint32
	due        uint32 // tick of the next check
}

func (t *table) at(i uint32) *slot { return &t.chunks[i/chunkSize][i%chunkSize] }

// add gives c a slot, and returns the generation of the slot.
func (t *table) add(c *Conn, due uint32) (generation uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, errStopped
	}
	t.done.Add(1)
	if len(t.free) == 0 {
		first := uint32(len(t.chunks)) * chunkSize
		t.chunks = append(t.chunks, new(chunk))
		for i := range uint32(chunkSize) {
			t.free = append(t.free, first+chunkSize-1-i)
		}
	}
	c.slot = t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.used++
	s := t.at(c.slot)
	s.conn, s.due = c, due
	return s.generation, nil
}

func (t *table) remove(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.at(c.slot)
	s.conn = nil
	s.generation++
	t.free = append(t.free, c.slot)
	t.used--
	t.done.Done()
}

// schedule makes the sweep check c at a tick or earlier.
func (t *table) schedule(c *Conn, due uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.at(c.slot); s.conn == c {
		s.due = min(s.due, due)
	}
}

// find returns the socket in slot i, nil if the slot has another generation.
func (t *table) find(i, generation uint32) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i >= uint32(len(t.chunks))*chunkSize {
		return nil
	}
	if s := t.at(i); s.generation == generation {
		return s.conn
	}
	return nil
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// close refuses further sockets, and returns all that there are.
func (t *table) close() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	all := make([]*Conn, 0, t.used)
	for _, ch := range t.chunks {
		for i := range ch {
			if c := ch[i].conn; c != nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// sweep checks the sockets that are due. It holds the lock for a chunk at a time, so
// that others do not wait long for it.
func (t *table) sweep(now uint32) {
	var due []*Conn
	for i := 0; ; i++ {
		due = t.takeDue(i, now, due[:0])
		if due == nil {
			return
		}
		for _, c := range due {
			t.schedule(c, c.check(now))
		}
	}
}

// takeDue appends the due sockets of chunk i to due, and unschedules them. It returns
// nil after the last chunk.
func (t *table) takeDue(i int, now uint32, due []*Conn) []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i >= len(t.chunks) {
		return nil
	}
	if due == nil {
		due = make([]*Conn, 0, 64)
	}
	for j := range t.chunks[i] {
		if s := &t.chunks[i][j]; s.conn != nil && s.due <= now {
			due = append(due, s.conn)
			s.due = never
		}
	}
	return due
}

// never is a tick that is never reached.
const never = ^uint32(0)
