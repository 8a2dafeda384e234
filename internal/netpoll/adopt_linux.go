//go:build linux && !portable

package netpoll

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// adopt takes the descriptor out of tcp and watches it. leftover, which was read
// earlier, causes no event and is passed to the handler first.
func (e *epoll) adopt(c *Conn, tcp *net.TCPConn, leftover []byte, h Handler) error {
	fd, err := e.detach(tcp)
	if err != nil {
		return err
	}
	l := e.loops[int(e.turn.Add(1))%len(e.loops)]
	c.open(h, l, fd, true)
	generation, err := e.poller.conns.add(c, c.lastRead.Load()+e.poller.heartbeatTicks)
	if err != nil {
		return errors.Join(err, c.disown(fd))
	}
	// From here on other goroutines have c, but this one is its reader.
	next := Continue
	if len(leftover) > 0 && !c.isClosing() {
		next = h.Data(c, leftover)
	}
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET,
		Fd:     int32(c.slot), Pad: int32(generation),
	}
	if err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		err = errors.Join(err, c.disown(fd))
		e.poller.conns.remove(c)
		return err
	}
	if l.readAgain(c, next, false) {
		l.read(c, nil)
	}
	return nil
}

// disown closes the descriptor of a socket that is not watched.
func (c *Conn) disown(fd int) error {
	c.mu.Lock()
	c.closing, c.fd = true, -1
	c.mu.Unlock()
	return unix.Close(fd)
}

// detach returns a duplicate of the connection's descriptor that Go's poller does not
// know, and closes tcp.
func (e *epoll) detach(tcp *net.TCPConn) (fd int, err error) {
	e.detaching.Lock()
	defer e.detaching.Unlock()
	defer tcp.Close()
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	duplicate := func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }
	if err := raw.Control(duplicate); err != nil {
		return -1, err
	}
	return fd, failed
}
