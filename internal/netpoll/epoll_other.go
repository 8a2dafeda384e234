//go:build !linux || portable

package netpoll

import (
	"errors"
	"net"
)

// epoll is a driver that only Linux has.
type epoll struct{}

func newEpoll(*Poller) (*epoll, error)                          { return nil, errors.ErrUnsupported }
func (*epoll) adopt(*Conn, *net.TCPConn, []byte, Handler) error { return errors.ErrUnsupported }
func (*epoll) close() error                                     { return nil }
