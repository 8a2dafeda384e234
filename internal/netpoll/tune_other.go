//go:build !linux

package netpoll

import (
	"net"
	"time"
)

// tune turns off the kernel's keep-alive timer: heartbeats do the same.
func tune(tcp *net.TCPConn, _ time.Duration) { _ = tcp.SetKeepAlive(false) }
