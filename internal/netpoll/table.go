package netpoll

import "sync"

// table has all sockets of a Poller, and when each is to be looked at again. A
// slot keeps its number as the table grows, and a slot that was given up has a
// new generation, so an event that the kernel reported before is told from one for
// whoever has the place now.
type table struct {
	done sync.WaitGroup // sockets, and goroutines that write for them

	mu     sync.Mutex // guards what follows
	chunks []*chunk
	free   []uint32
	used   int
	closed bool
}

const chunkPlaces = 1024

type chunk [chunkPlaces]slot

type slot struct {
	conn       *Conn
	generation uint32
	due        uint32 // the tick at which to look
}

func (t *table) at(i uint32) *slot { return &t.chunks[i/chunkPlaces][i%chunkPlaces] }

// add gives c a place, which has the generation returned.
func (t *table) add(c *Conn, due uint32) (generation uint32, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, errStopped
	}
	t.done.Add(1)
	if len(t.free) == 0 {
		first := uint32(len(t.chunks)) * chunkPlaces
		t.chunks = append(t.chunks, new(chunk))
		for i := range uint32(chunkPlaces) {
			t.free = append(t.free, first+chunkPlaces-1-i)
		}
	}
	c.slot = t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.used++
	p := t.at(c.slot)
	p.conn, p.due = c, due
	return p.generation, nil
}

func (t *table) remove(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.at(c.slot)
	p.conn = nil
	p.generation++
	t.free = append(t.free, c.slot)
	t.used--
	t.done.Done()
}

// lookAt makes the sweep look at c at a tick, if not before.
func (t *table) lookAt(c *Conn, due uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.at(c.slot); p.conn == c {
		p.due = min(p.due, due)
	}
}

// find gives the socket at a place, nil when it is another's by now.
func (t *table) find(i, generation uint32) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i >= uint32(len(t.chunks))*chunkPlaces {
		return nil
	}
	if p := t.at(i); p.generation == generation {
		return p.conn
	}
	return nil
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}

// close takes no more sockets, and gives those that are there.
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

// sweep looks at the sockets that are due, a chunk at a time so that nobody waits
// long for the lock.
func (t *table) sweep(now uint32) {
	var due []*Conn
	for i := 0; ; i++ {
		due = t.dueIn(i, now, due[:0])
		if due == nil {
			return
		}
		for _, c := range due {
			t.lookAt(c, c.look(now))
		}
	}
}

// dueIn collects what is due in one chunk, nil beyond the last.
func (t *table) dueIn(i int, now uint32, due []*Conn) []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i >= len(t.chunks) {
		return nil
	}
	if due == nil {
		due = make([]*Conn, 0, 64)
	}
	for j := range t.chunks[i] {
		if p := &t.chunks[i][j]; p.conn != nil && p.due <= now {
			due = append(due, p.conn)
			p.due = never
		}
	}
	return due
}

const never = ^uint32(0)
