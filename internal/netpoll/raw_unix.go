//go:build unix

package netpoll

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// rawConn gives access to a plain socket, whose descriptor never blocks.
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

// writeNow writes what the kernel takes without waiting.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	if raw == nil {
		return 0, nil
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		n, failed = writeTo(int(fd), b)
		return true // never waits
	})
	if err == nil {
		err = failed
	}
	return n, err
}

// writeTo writes to a descriptor that never blocks until all is written or no more
// is taken.
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

// readFrom reads from a descriptor that never blocks; EAGAIN when there is
// nothing, io.EOF at the end.
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

// waitConn gives access to the socket that tells when there is something to read.
func waitConn(nc net.Conn) syscall.RawConn {
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

// readBuffered waits for bytes, and only then takes a buffer from the pool to read them.
func (w *wire) readBuffered() (buffer *[readBuffer]byte, n int, err error) {
	if w.raw == nil {
		return w.borrowLate()
	}
	var failed error
	err = w.raw.Read(func(fd uintptr) bool {
		buffer = buffers.Get().(*[readBuffer]byte)
		n, failed = readFrom(int(fd), buffer[:])
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
	return buffer, n, err
}

// borrowLate is borrow for what only its own Read can read, such as TLS.
func (w *wire) borrowLate() (buffer *[readBuffer]byte, n int, err error) {
	if w.wait != nil && !w.full {
		if err := w.wait.Read(readable); err != nil {
			return nil, 0, err
		}
	}
	buffer = buffers.Get().(*[readBuffer]byte)
	n, err = w.nc.Read(buffer[:])
	w.full = n == len(buffer)
	return buffer, n, err
}

// readable is a callback of RawConn.Read that takes nothing.
func readable(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}
