//go:build linux && !portable

package netpoll

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// adopt takes the descriptor out of tcp and watches it. What was read before the
// socket came here raises no event: it is handed over first.
func (k *kernel) adopt(c *Conn, tcp *net.TCPConn, leftover []byte, h Handler) error {
	fd, err := k.release(tcp)
	if err != nil {
		return err
	}
	l := k.loops[int(k.turn.Add(1))%len(k.loops)]
	c.begin(h, l, fd, true)
	generation, err := k.poller.conns.add(c, c.seen.Load()+k.poller.beat)
	if err != nil {
		return errors.Join(err, c.disown(fd))
	}
	// From here on others know of c, but only this is its reader.
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
		k.poller.conns.remove(c)
		return err
	}
	if l.goOn(c, next, false) {
		l.read(c, nil)
	}
	return nil
}

// disown closes the descriptor of a socket that nobody watches.
func (c *Conn) disown(fd int) error {
	c.mu.Lock()
	c.closing, c.fd = true, -1
	c.mu.Unlock()
	return unix.Close(fd)
}

// release gives a descriptor of its own for the connection, of which Go's poller
// knows nothing any more.
func (k *kernel) release(tcp *net.TCPConn) (fd int, err error) {
	k.detach.Lock()
	defer k.detach.Unlock()
	defer tcp.Close()
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	if err := raw.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return -1, err
	}
	return fd, failed
}
