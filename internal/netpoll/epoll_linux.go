//go:build linux && !portable

package netpoll

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// epoll is the epoll driver: some epoll instances, each with a goroutine.
type epoll struct {
	poller *Poller
	loops  []*loop
	turn   atomic.Uint32 // chooses the loop of the next socket
	done   sync.WaitGroup

	// detaching is held while a socket leaves Go's own poller. If many leave at once,
	// the runtime creates a thread for each.
	detaching sync.Mutex
}

// loop is one epoll instance. Go's own poller watches the instance, so its goroutine
// parks like any other and occupies no thread while nothing happens.
type loop struct {
	poller *Poller
	file   *os.File
	raw    syscall.RawConn
	fd     int
	wakeFD int // an eventfd that interrupts the wait
	closed atomic.Bool

	mu    sync.Mutex // guards what follows
	queue []*Conn    // to be read without an event
}

var _ link = (*loop)(nil)

// coresPerLoop is how many cores one loop keeps busy. Loops do little themselves: what
// takes long runs on other goroutines.
const coresPerLoop = 4

func newEpoll(p *Poller) (*epoll, error) {
	e := &epoll{poller: p}
	for range max(1, runtime.GOMAXPROCS(0)/coresPerLoop) {
		l, err := newLoop(p)
		if err != nil {
			return nil, errors.Join(err, e.close())
		}
		e.loops = append(e.loops, l)
		e.done.Go(l.run) // ends when close closes the instance
	}
	return e, nil
}

// wakeSlot is the number of the eventfd where an event has the slot of a socket.
const wakeSlot = -1

func newLoop(p *Poller) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create an epoll instance: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create an eventfd: %w", err), unix.Close(fd))
	}
	err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wakeFD, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: wakeSlot})
	if err == nil {
		err = unix.SetNonblock(fd, true) // otherwise os.NewFile would not use Go's poller
	}
	l := &loop{poller: p, fd: fd, wakeFD: wakeFD, file: os.NewFile(uintptr(fd), "epoll")}
	if err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close(), unix.Close(wakeFD))
	}
	return l, nil
}

func (e *epoll) close() error {
	var errs []error
	for _, l := range e.loops {
		l.closed.Store(true)
		errs = append(errs, l.file.Close())
	}
	e.done.Wait()
	for _, l := range e.loops {
		errs = append(errs, unix.Close(l.wakeFD))
	}
	return errors.Join(errs...)
}

// maxEvents is how many events are read from the kernel at a time.
const maxEvents = 128

// run handles events until the instance is closed.
func (l *loop) run() {
	var events [maxEvents]unix.EpollEvent
	var failed error
	buffer := new([bufferSize]byte)
	n := 0
	wait := func(fd uintptr) bool {
		if n, failed = unix.EpollWait(int(fd), events[:], 0); failed == unix.EINTR {
			n, failed = 0, nil
			return true // the loop below calls again
		}
		return n > 0 || failed != nil
	}
	for {
		n = 0
		if err := errors.Join(l.raw.Read(wait), failed); err != nil {
			if !l.closed.Load() {
				// Some other code has closed the descriptor.
				panic("netpoll: wait for events: " + err.Error())
			}
			return
		}
		for i := range events[:n] {
			l.handle(&events[i], buffer)
		}
	}
}

func (l *loop) handle(event *unix.EpollEvent, buffer *[bufferSize]byte) {
	if event.Fd == wakeSlot {
		l.readQueue(buffer)
		return
	}
	// The table's lock also orders this after what adopt has written, which epoll does
	// not do in Go's memory model.
	c := l.poller.conns.find(uint32(event.Fd), uint32(event.Pad))
	if c == nil {
		return // for a socket that is closed
	}
	const ends = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if event.Events&(unix.EPOLLOUT|ends) != 0 {
		l.flush(c)
	}
	if event.Events&(unix.EPOLLIN|ends) != 0 && l.claim(c, event.Events&ends != 0) {
		l.read(c, buffer)
	}
}

// readQueue reads the sockets in the queue.
func (l *loop) readQueue(buffer *[bufferSize]byte) {
	var count [8]byte
	_, _ = unix.Read(l.wakeFD, count[:]) // fails only if the eventfd is reset already
	l.mu.Lock()
	queue := l.queue
	l.queue = nil
	l.mu.Unlock()
	for _, c := range queue {
		c.mu.Lock()
		c.queued = false
		c.mu.Unlock()
		if l.claim(c, false) {
			l.read(c, buffer)
		}
	}
}

// claim makes the caller c's reader, unless c is paused or has a reader, which then
// reads once more.
func (l *loop) claim(c *Conn, hup bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread = true
	c.hup = c.hup || hup
	return l.becomeReader(c)
}

// becomeReader makes the caller c's reader if there may be something to read. Called
// with c.mu held.
func (l *loop) becomeReader(c *Conn) bool {
	if c.reading || c.fd < 0 || !c.unread || c.paused() {
		return false
	}
	c.reading, c.unread = true, false
	return true
}

// read passes what has arrived to the handler, as c's reader. A nil buffer is taken
// from the pool.
func (l *loop) read(c *Conn, buffer *[bufferSize]byte) {
	if buffer == nil {
		buffer = buffers.Get().(*[bufferSize]byte)
		defer buffers.Put(buffer)
	}
	for range maxReads {
		n, err := readFrom(int(c.fd), buffer[:])
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			l.finish(c, err)
			return
		}
		next := noData
		if n > 0 {
			c.markActive()
			if next = Continue; !c.isClosing() {
				next = c.handler.Data(c, buffer[:n])
			}
		}
		if !l.readAgain(c, next, n == len(buffer)) {
			return
		}
	}
	// It is others' turn.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.unread = false, true
	l.wake(c)
}

// noData is the Next of a read that returned nothing.
const noData Next = 0xff

// readAgain records what the handler returned and reports whether the reader reads
// again. If not, the caller is no longer c's reader. full reports that the read filled
// the buffer.
func (l *loop) readAgain(c *Conn, next Next, full bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != noData {
		c.setNext(next)
		// After the end of the stream there are no more events.
		c.unread = c.unread || full || c.hup
	}
	c.reading = false
	return l.becomeReader(c)
}

// finish closes the descriptor, as c's reader. It stays the reader, so that no other
// goroutine becomes it.
func (l *loop) finish(c *Conn, err error) {
	c.mu.Lock()
	fd := c.fd
	c.fd = -1
	hasUnsent := c.unsent() != nil
	c.mu.Unlock()
	if hasUnsent {
		// The kernel need not keep what the peer has not read.
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(int(fd)) // an error would be about data that is lost in any case
	c.ended(err)
}

// flush sends what is unsent.
func (l *loop) flush(c *Conn) {
	c.mu.Lock()
	u := c.unsent()
	if u == nil || c.fd < 0 {
		c.mu.Unlock()
		return
	}
	for _, b := range []*[]byte{&u.rest, &u.replies} {
		n, err := writeTo(int(c.fd), *b)
		if err != nil {
			c.fail(err)
			c.mu.Unlock()
			return
		}
		if *b = (*b)[n:]; len(*b) > 0 {
			c.mu.Unlock()
			return // another event follows
		}
		*b = nil
	}
	c.setPending(nil, c.closeState())
	closing := c.closing
	if closing {
		l.halfClose(c)
	}
	c.mu.Unlock()
	if !closing {
		c.handler.Writable(c)
	}
}

func (l *loop) owner() *Poller { return l.poller }

func (l *loop) send(c *Conn, b []byte) (int, error) {
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	return writeTo(int(c.fd), b)
}

func (l *loop) flushLater(*Conn) {} // an edge-triggered event is always armed

func (l *loop) halfClose(c *Conn) { l.shutdown(c, unix.SHUT_WR) }
func (l *loop) end(c *Conn)       { l.shutdown(c, unix.SHUT_RDWR) }

// shutdown is the only call on a descriptor by others than the reader. Once it is
// closed, its number may belong to another socket.
func (l *loop) shutdown(c *Conn, how int) {
	if c.fd >= 0 {
		_ = unix.Shutdown(int(c.fd), how) // an error means that it is not connected, which is as good
	}
}

// wake puts c in the queue. Called with c.mu held.
func (l *loop) wake(c *Conn) {
	if c.queued || c.fd < 0 {
		return
	}
	c.queued = true
	l.mu.Lock()
	l.queue = append(l.queue, c)
	first := len(l.queue) == 1
	l.mu.Unlock()
	if first {
		// The write fails only if the eventfd is set already.
		_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// resume reads on the caller's goroutine, which saves waking the loop.
func (l *loop) resume(c *Conn) {
	c.mu.Lock()
	ok := l.becomeReader(c)
	c.mu.Unlock()
	if ok {
		l.read(c, nil)
	}
}

func (l *loop) remote(c *Conn) net.Addr {
	if c.fd < 0 {
		return nil
	}
	sa, err := unix.Getpeername(int(c.fd))
	if err != nil {
		return nil
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	}
	return nil
}
