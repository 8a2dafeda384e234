package netpoll

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds what the kernel keeps for a peer that takes nothing: without it
// megabytes gather there, for each of them.
const maxUnsent = 128 << 10

// tune lets the kernel end a connection whose peer acknowledges nothing, and
// spares it a keep-alive timer for each: the heartbeat does that.
func tune(tcp *net.TCPConn, timeout time.Duration) {
	_ = tcp.SetKeepAlive(false)
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
