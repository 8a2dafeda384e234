package database

import (
	"container/list"
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// leases decides which unit of work gets a connection of a pool, and records who has
// one and who waits. A unit with a lease finds a connection in the pool, or room to
// open one.
//
// Units get leases in the order in which they arrive, except that units with priority go
// first.
type leases struct {
	common
	limit string // in words, such as "pool limit of size 10 overflow 20"

	mu       sync.Mutex // guards what follows
	keptOpen int        // how many are granted without a delay; 0 means all
	free     int
	opening  int // leases beyond keptOpen whose connection may still be opening
	held     map[*lease]struct{}
	queue    list.List // of *waiter: those with priority, then in the order of arrival
	reported time.Time // when all holders were last logged
	quiet    bool      // they were logged, and the queue has not been empty since
}

const (
	// maxWaiting bounds the units of work that wait for a connection.
	maxWaiting = 1000
	// All holders are logged when one holds its connection for longHold while others
	// wait, at most once per reportInterval.
	longHold       = 250 * time.Millisecond
	reportInterval = 10 * time.Second
	// openDelay is how long a unit waits for a connection that is kept open before
	// another one is opened: most are held for a millisecond, and opening one takes
	// longer than that.
	openDelay = 20 * time.Millisecond
	// maxOpening bounds the connections beyond keptOpen that are being opened at the same
	// time. When the database or the machine pauses, all units reach openDelay together,
	// and opening a connection for each would make it worse. The others take what is
	// returned meanwhile.
	maxOpening = 2
)

// lease is the right of one unit of work to one connection.
type lease struct {
	unit    string
	since   time.Time
	callers [12]uintptr
	soft    *time.Timer

	// Guarded by the leases' mu:
	pid     uint32 // of the server process
	opening bool   // counted in the leases' opening
}

type waiter struct {
	lease   *lease
	since   time.Time
	granted chan struct{} // closed when the lease is held
}

// Why a unit of work got no lease.
var (
	// ErrQueueFull means that too many units wait already.
	ErrQueueFull    = errors.New("the queue is full")
	errQueueTimeout = errors.New("no connection became free in time")
	errHeldTooLong  = errors.New("the connection was held for too long")
)

func newLeases(connections int, limit string, c common) *leases {
	return &leases{common: c, limit: limit, free: connections, held: make(map[*lease]struct{})}
}

// acquire waits for a lease until ctx ends, and no longer than timeout.
func (l *leases) acquire(ctx context.Context, unit string, timeout time.Duration) (*lease, error) {
	h := &lease{unit: unit}
	runtime.Callers(3, h.callers[:]) // without acquire and the backend's lend
	w, err := l.enqueue(h)
	if err != nil || w == nil {
		return h, err
	}
	expired := time.NewTimer(timeout)
	defer expired.Stop()
	report := time.AfterFunc(longHold, l.reportLongHolders)
	defer report.Stop()
	more := time.AfterFunc(openDelay, func() { l.grantOverflow(w) })
	defer more.Stop()
	select {
	case <-w.granted:
		return h, nil
	case <-expired.C:
	case <-ctx.Done():
	}
	if l.leave(w) {
		l.reportLongHolders()
		return nil, errQueueTimeout
	}
	return h, nil // granted at the same moment
}

// enqueue grants a lease at once, or returns what waits for it.
func (l *leases) enqueue(h *lease) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.hasPriority(h.unit)
	switch {
	case l.free > 0 && (l.keptOpen == 0 || len(l.held) < l.keptOpen):
		l.free--
		l.hold(h)
		return nil, nil //nolint:nilnil // nothing to wait for
	case l.queue.Len() >= maxWaiting && !first:
		return nil, ErrQueueFull
	}
	w := &waiter{lease: h, since: time.Now(), granted: make(chan struct{})}
	if first {
		l.queue.PushFront(w)
	} else {
		l.queue.PushBack(w)
	}
	return w, nil
}

// grantOverflow grants a waiter one of the connections beyond those that are kept
// open. While maxOpening are being opened the waiter stays in the queue, and connected
// returns to it.
func (l *leases) grantOverflow(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grantNext(w)
}

// grantNext is grantOverflow with mu held.
func (l *leases) grantNext(w *waiter) {
	if l.free == 0 || l.opening == maxOpening || !l.dequeue(w) {
		return
	}
	l.free--
	l.opening++
	w.lease.opening = true
	l.hold(w.lease)
	close(w.granted)
}

// opened ends the opening of a connection, if it was one, and lets the first waiter
// past openDelay open another. Called with mu held.
func (l *leases) opened(h *lease) {
	if !h.opening {
		return
	}
	h.opening = false
	l.opening--
	for e := l.queue.Front(); e != nil; e = e.Next() {
		if w, _ := e.Value.(*waiter); time.Since(w.since) >= openDelay {
			l.grantNext(w)
			return
		}
	}
}

// dequeue removes a waiter from the queue and reports whether it was there. Called
// with mu held.
func (l *leases) dequeue(w *waiter) bool {
	for e := l.queue.Front(); e != nil; e = e.Next() {
		if e.Value == w {
			l.queue.Remove(e)
			return true
		}
	}
	return false
}

// hold starts a lease. Called with mu held.
func (l *leases) hold(h *lease) {
	h.since = time.Now()
	h.soft = time.AfterFunc(l.holdSoft, func() { l.reportHeldLong(h) })
	l.held[h] = struct{}{}
}

// leave removes a waiter from the queue. It returns false when the lease was granted.
func (l *leases) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dequeue(w)
}

// release ends a lease and grants the next one.
func (l *leases) release(h *lease) {
	h.soft.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, h)
	first := l.queue.Front()
	if first == nil {
		l.free++
		l.quiet = false
		l.opened(h)
		return
	}
	w, _ := l.queue.Remove(first).(*waiter)
	w.lease.opening = h.opening // if no connection was opened, the next unit may open it
	l.hold(w.lease)
	close(w.granted)
}

// connected records the server process that works for the unit.
func (l *leases) connected(h *lease, pid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.pid = pid
	l.opened(h)
}

// waiting returns how many units wait, and for how long the first of them has.
func (l *leases) waiting() (n int, oldest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.queue.Front(); e != nil; e = e.Next() {
		w, _ := e.Value.(*waiter)
		oldest = max(oldest, time.Since(w.since))
	}
	return l.queue.Len(), oldest
}
