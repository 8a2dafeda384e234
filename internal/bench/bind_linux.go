package bench

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindLate lets the kernel choose the port once the target is known. The port then has
// to be free for this target only, and the kernel finds one at once.
func bindLate(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // kernels before 4.2 choose early
	})
}
