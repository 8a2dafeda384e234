//go:build !unix

package netpoll

import (
	"net"
	"syscall"
)

func rawConn(net.Conn) syscall.RawConn       { return nil }
func readinessConn(net.Conn) syscall.RawConn { return nil }

// writeNow writes nothing: the goroutine that flushes does.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }

// readBuffered blocks until bytes arrive, and reads them into a buffer of the pool.
func (n *netConn) readBuffered() (buffer *[bufferSize]byte, size int, err error) {
	buffer = buffers.Get().(*[bufferSize]byte)
	size, err = n.nc.Read(buffer[:])
	return buffer, size, err
}
