//go:build !unix

package netpoll

import (
	"net"
	"syscall"
)

func rawConn(net.Conn) syscall.RawConn { return nil }

// writeNow leaves everything to the goroutine that writes what is kept.
func writeNow(syscall.RawConn, []byte) (int, error) { return 0, nil }
