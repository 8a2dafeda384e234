package netpoll

import (
	"crypto/tls"
	"encoding/binary"
	"net"
)

// Records makes a listener whose connections, once TLS is spoken over them, can be
// waited for without a buffer. A tls.Conn reads ahead, and nobody can ask whether it
// has something left; its connection here never gives it more than the record that
// it is reading (RFC 8446 section 5.1), so that when a read was short, it has not.
func Records(l net.Listener) net.Listener { return recordListener{l} }

type recordListener struct{ net.Listener }

// Accept implements [net.Listener].
func (l recordListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok && err == nil {
		return &recordConn{TCPConn: tcp}, nil
	}
	return nc, err
}

const recordHeader = 5

type recordConn struct {
	*net.TCPConn
	header [recordHeader]byte
	have   int // bytes of the header
	left   int // bytes of the record behind it
}

// Read implements [net.Conn].
func (c *recordConn) Read(b []byte) (int, error) {
	if c.left > 0 {
		n, err := c.TCPConn.Read(b[:min(len(b), c.left)])
		c.left -= n
		return n, err
	}
	n, err := c.TCPConn.Read(b[:min(len(b), recordHeader-c.have)])
	c.have += copy(c.header[c.have:], b[:n])
	if c.have == recordHeader {
		c.left, c.have = int(binary.BigEndian.Uint16(c.header[3:])), 0
	}
	return n, err
}

// tcpOf is the TCP connection below nc, and whether nc itself can be waited for by
// it.
func tcpOf(nc net.Conn) (tcp *net.TCPConn, waitable bool) {
	switch c := nc.(type) {
	case *net.TCPConn:
		return c, true
	case *recordConn:
		return c.TCPConn, false
	case *tls.Conn:
		switch below := c.NetConn().(type) {
		case *recordConn:
			return below.TCPConn, true
		case *net.TCPConn:
			return below, false
		}
	}
	return nil, false
}
