package netpoll

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// maxUnsent bounds what the kernel keeps for a peer that does not read, in bytes.
// Without it, the kernel keeps megabytes for each.
const maxUnsent = 128 << 10

// tune makes the kernel end the connection if its peer acknowledges nothing for timeout,
// and turns off its keep-alive timer: heartbeats do the same.
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
