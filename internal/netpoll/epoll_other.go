//go:build !linux || portable

package netpoll

import (
	"errors"
	"net"
)

// kernel is what the epoll driver has on Linux.
type kernel struct{}

func newKernel(*Poller) (*kernel, error)                         { return nil, errors.ErrUnsupported }
func (*kernel) adopt(*Conn, *net.TCPConn, []byte, Handler) error { return errors.ErrUnsupported }
func (*kernel) close() error                                     { return nil }
