package chowk

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// acceptor is the public listener. It leaves file descriptors for the database, files
// and the operations listener: near the limit on open files it accepts no connection
// until another has closed, so clients wait in the kernel's queue and the server goes
// on.
type acceptor struct {
	net.Listener
	sockets func() int
	max     int // connections and sockets, 0 for unlimited
	open    atomic.Int64
	closed  atomic.Bool
}

// reservedFiles is how many file descriptors are kept for the database, HTTP and
// files. Half of them are for HTTP.
const reservedFiles = 200

// acceptPause is how often an acceptor at its limit checks whether a connection has
// closed.
const acceptPause = 20 * time.Millisecond

// Accept implements [net.Listener].
func (a *acceptor) Accept() (net.Conn, error) {
	for a.max > 0 && int(a.open.Load())+a.sockets() >= a.max && !a.closed.Load() {
		time.Sleep(acceptPause)
	}
	return a.Listener.Accept()
}

// Close implements [net.Listener].
func (a *acceptor) Close() error {
	a.closed.Store(true)
	return a.Listener.Close()
}

// count is for http.Server.ConnState. A connection that becomes a socket is counted
// as a socket from then on.
func (a *acceptor) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		a.open.Add(1)
	case http.StateHijacked, http.StateClosed:
		a.open.Add(-1)
	}
}
