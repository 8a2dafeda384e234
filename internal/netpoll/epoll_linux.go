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

// kernel is the epoll driver: some instances, each with a goroutine that waits for
// it.
type kernel struct {
	poller *Poller
	loops  []*loop
	turn   atomic.Uint32
	done   sync.WaitGroup

	// detach is held while a socket leaves Go's own poller. A storm of connections
	// that does so all at once leaves a thread behind for each.
	detach sync.Mutex
}

// loop is one epoll instance. The instance itself is watched by Go's own poller,
// so that its goroutine parks like any other, and takes no thread while nothing
// happens.
type loop struct {
	poller *Poller
	file   *os.File
	raw    syscall.RawConn
	fd     int
	wakeFD int // an eventfd that interrupts the wait
	closed atomic.Bool

	mu    sync.Mutex // guards what follows
	queue []*Conn    // to be looked at without an event
}

var _ link = (*loop)(nil)

// coresPerLoop is how many cores one loop keeps busy: what takes long is done by
// others.
const coresPerLoop = 4

func newKernel(p *Poller) (*kernel, error) {
	k := &kernel{poller: p}
	for range max(1, runtime.GOMAXPROCS(0)/coresPerLoop) {
		l, err := newLoop(p)
		if err != nil {
			return nil, errors.Join(err, k.close())
		}
		k.loops = append(k.loops, l)
		k.done.Go(l.run) // ends when close closes the instance
	}
	return k, nil
}

// bellPlace stands for the bell where a socket's place would.
const bellPlace = -1

func newLoop(p *Poller) (*loop, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	wakeFD, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(fd))
	}
	err = unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, wakeFD, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: bellPlace})
	if err == nil {
		err = unix.SetNonblock(fd, true) // or os.NewFile would not hand it to Go's poller
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

func (k *kernel) close() error {
	var errs []error
	for _, l := range k.loops {
		l.closed.Store(true)
		errs = append(errs, l.file.Close())
	}
	k.done.Wait()
	for _, l := range k.loops {
		errs = append(errs, unix.Close(l.wakeFD))
	}
	return errors.Join(errs...)
}

// eventsAtOnce is how many events are taken from the kernel at a time.
const eventsAtOnce = 128

// run handles events until the instance is closed.
func (l *loop) run() {
	var events [eventsAtOnce]unix.EpollEvent
	var failed error
	buffer := new([readBuffer]byte)
	n := 0
	wait := func(fd uintptr) bool {
		if n, failed = unix.EpollWait(int(fd), events[:], 0); failed == unix.EINTR {
			n, failed = 0, nil
			return true // and around again
		}
		return n > 0 || failed != nil
	}
	for {
		n = 0
		if err := errors.Join(l.raw.Read(wait), failed); err != nil {
			if !l.closed.Load() {
				panic("netpoll: wait for events: " + err.Error()) // a descriptor of ours was closed by somebody else
			}
			return
		}
		for i := range events[:n] {
			l.handle(&events[i], buffer)
		}
	}
}

func (l *loop) handle(event *unix.EpollEvent, buffer *[readBuffer]byte) {
	if event.Fd == bellPlace {
		l.answerBell(buffer)
		return
	}
	// The lock of the table also orders this after what adopt has written, of which
	// epoll says nothing to the memory model.
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

func (l *loop) answerBell(buffer *[readBuffer]byte) {
	var count [8]byte
	_, _ = unix.Read(l.wakeFD, count[:]) // it is reset, or was
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

// claim makes the caller c's reader, unless it is paused, or has a reader, who will
// then look once more.
func (l *loop) claim(c *Conn, hup bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = true
	c.hup = c.hup || hup
	return l.begin(c)
}

// begin makes the caller c's reader if there is something to read. Called with
// c.mu held.
func (l *loop) begin(c *Conn) bool {
	if c.reading || c.fd < 0 || !c.more || c.paused() {
		return false
	}
	c.reading, c.more = true, false
	return true
}

// read hands what has come to the owner, as c's reader. It takes a buffer from the
// pool when it is given none.
func (l *loop) read(c *Conn, buffer *[readBuffer]byte) {
	if buffer == nil {
		buffer = buffers.Get().(*[readBuffer]byte)
		defer buffers.Put(buffer)
	}
	for range maxReads {
		n, err := readFrom(int(c.fd), buffer[:])
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			l.finish(c, err)
			return
		}
		next := nothing
		if n > 0 {
			c.markActive()
			if next = Continue; !c.isClosing() {
				next = c.handler.Data(c, buffer[:n])
			}
		}
		if !l.goOn(c, next, n == len(buffer)) {
			return
		}
	}
	// Others have their turn.
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading, c.more = false, true
	l.wake(c)
}

// nothing is the Next of a read that gave nothing.
const nothing Next = 0xff

// goOn notes what the owner said, and reports whether the reader reads again; if
// not it is c's reader no more.
func (l *loop) goOn(c *Conn, next Next, full bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next != nothing {
		c.took(next)
		// After the end nothing raises an event.
		c.more = c.more || full || c.hup
	}
	c.reading = false
	return l.begin(c)
}

// finish closes the descriptor, as c's reader, which it stays so that nobody else
// can become it.
func (l *loop) finish(c *Conn, err error) {
	c.mu.Lock()
	fd := c.fd
	c.fd = -1
	broken := c.unsent() != nil
	c.mu.Unlock()
	if broken {
		// What the peer has not read is of no use any more, and the kernel need not
		// keep it.
		_ = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	_ = unix.Close(int(fd)) // an error would be about data that was lost anyway
	c.ended(err)
}

// flush writes what is kept.
func (l *loop) flush(c *Conn) {
	c.mu.Lock()
	k := c.unsent()
	if k == nil || c.fd < 0 {
		c.mu.Unlock()
		return
	}
	for _, b := range []*[]byte{&k.rest, &k.replies} {
		n, err := writeTo(int(c.fd), *b)
		if err != nil {
			c.fail(err)
			c.mu.Unlock()
			return
		}
		if *b = (*b)[n:]; len(*b) > 0 {
			c.mu.Unlock()
			return // the next edge goes on
		}
		*b = nil
	}
	c.set(nil, c.closeState())
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

func (l *loop) keep(*Conn) {} // the edge is armed for good

func (l *loop) halfClose(c *Conn) { l.shutdown(c, unix.SHUT_WR) }
func (l *loop) end(c *Conn)       { l.shutdown(c, unix.SHUT_RDWR) }

// shutdown is all that anybody but the reader does to a descriptor: once it is
// closed, the number may be another socket's.
func (l *loop) shutdown(c *Conn, how int) {
	if c.fd >= 0 {
		_ = unix.Shutdown(int(c.fd), how) // not connected any more is as good
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
		_, _ = unix.Write(l.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // it can only say that it rings already
	}
}

// resume reads what has come meanwhile where it is called, which saves the loop
// being woken.
func (l *loop) resume(c *Conn) {
	c.mu.Lock()
	ok := l.begin(c)
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
