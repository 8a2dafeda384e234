//go:build unix

package netpoll

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// rawConn returns access to the descriptor of a plain TCP socket, which never blocks.
func rawConn(nc net.Conn) syscall.RawConn {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// writeNow writes what the kernel accepts without blocking.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	if raw == nil {
		return 0, nil
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = writeTo(int(fd), b)
		return true // do not wait
	})
	if err == nil {
		err = failed
	}
	return n, err
}

// writeTo writes to a non-blocking descriptor what the kernel accepts.
func writeTo(fd int, b []byte) (n int, err error) {
	for n < len(b) {
		m, err := syscall.Write(fd, b[n:])
		switch err {
		case nil:
			n += m
		case syscall.EINTR:
		case syscall.EAGAIN:
			return n, nil
		default:
			return n, err
		}
	}
	return n, nil
}

// readFrom reads from a non-blocking descriptor. It returns EAGAIN if there is nothing,
// and io.EOF at the end.
func readFrom(fd int, b []byte) (n int, err error) {
	for {
		n, err = syscall.Read(fd, b)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// readinessConn returns access to the TCP socket that reports when nc can be read; nil
// if there is none.
func readinessConn(nc net.Conn) syscall.RawConn {
	tcp, waitable := tcpOf(nc)
	if !waitable {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readBuffered blocks until bytes arrive, and only then takes a buffer from the pool.
func (n *netConn) readBuffered() (buffer *[bufferSize]byte, size int, err error) {
	if n.raw == nil {
		return n.readWhenReady()
	}
	var failed error
	err = n.raw.Read(func(fd uintptr) bool {
		buffer = buffers.Get().(*[bufferSize]byte)
		size, failed = readFrom(int(fd), buffer[:])
		if errors.Is(failed, syscall.EAGAIN) {
			buffers.Put(buffer)
			buffer, failed = nil, nil
			return false
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return buffer, size, err
}

// readWhenReady is readBuffered for connections that only their own Read can read, such
// as TLS.
func (n *netConn) readWhenReady() (buffer *[bufferSize]byte, size int, err error) {
	if n.ready != nil && !n.full {
		if err := n.ready.Read(hasData); err != nil {
			return nil, 0, err
		}
	}
	buffer = buffers.Get().(*[bufferSize]byte)
	size, err = n.nc.Read(buffer[:])
	n.full = size == len(buffer)
	return buffer, size, err
}

// hasData is a callback of RawConn.Read that waits for data and leaves it there.
func hasData(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
