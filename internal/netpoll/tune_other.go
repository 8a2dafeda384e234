//go:build !linux

package netpoll

import (
	"net"
	"time"
)

// tune spares the kernel a keep-alive timer for each connection: the heartbeat
// does that.
func tune(tcp *net.TCPConn, _ time.Duration) { _ = tcp.SetKeepAlive(false) }
