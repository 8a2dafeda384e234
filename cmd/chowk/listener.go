package main

import (
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// acceptor is the public listener. It leaves descriptors for the database, files and
// the operations listener: near the limit on open files nobody is let in until
// somebody has gone, so that clients wait in the kernel's queue, and what runs goes
// on.
type acceptor struct {
	net.Listener
	sockets func() int
	most    int // connections and sockets, 0 for no limit
	open    atomic.Int64
	closed  atomic.Bool
}

// reserve are the descriptors kept for the database, HTTP and files: the half of
// them for HTTP.
const reserve = 200

// acceptPause is how often an acceptor looks whether somebody has gone.
const acceptPause = 20 * time.Millisecond

// Accept implements [net.Listener].
func (a *acceptor) Accept() (net.Conn, error) {
	for a.most > 0 && int(a.open.Load())+a.sockets() >= a.most && !a.closed.Load() {
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
// as one from then on.
func (a *acceptor) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		a.open.Add(1)
	case http.StateHijacked, http.StateClosed:
		a.open.Add(-1)
	}
}
