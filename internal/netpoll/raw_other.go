//go:build !unix

package netpoll

import (
	"net"
	"syscall"
)

func rawConn(net.Conn) syscall.RawConn  { return nil }
func waitConn(net.Conn) syscall.RawConn { return nil }

// writeNow leaves everything to the goroutine that writes what is kept.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }

// readBuffered waits for bytes and reads them into a pooled buffer.
func (w *wire) readBuffered() (buffer *[readBuffer]byte, n int, err error) {
	buffer = buffers.Get().(*[readBuffer]byte)
	n, err = w.nc.Read(buffer[:])
	return buffer, n, err
}
