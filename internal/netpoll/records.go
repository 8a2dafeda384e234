package netpoll

import (
	"crypto/tls"
	"encoding/binary"
	"net"
)

// Records returns a listener for TLS connections that can wait for data without a
// buffer. A tls.Conn reads ahead, and does not report whether it still has data. The
// listener's connections never return more to it than the record that it is reading
// (RFC 8446 section 5.1). So after a short read, it has no data left.
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

const recordHeader = 5 // bytes

// recordConn returns at most the rest of one record from each Read.
type recordConn struct {
	*net.TCPConn
	header    [recordHeader]byte
	have      int // bytes of header
	remaining int // bytes of the record behind its header
}

// Read implements [net.Conn].
func (c *recordConn) Read(b []byte) (int, error) {
	if c.remaining > 0 {
		n, err := c.TCPConn.Read(b[:min(len(b), c.remaining)])
		c.remaining -= n
		return n, err
	}
	n, err := c.TCPConn.Read(b[:min(len(b), recordHeader-c.have)])
	c.have += copy(c.header[c.have:], b[:n])
	if c.have == recordHeader {
		c.remaining, c.have = int(binary.BigEndian.Uint16(c.header[3:])), 0
	}
	return n, err
}

// tcpOf returns the TCP connection below nc, nil if there is none. waitable reports
// whether nc has data only when the TCP connection has.
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
