package bench

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindLate lets the kernel choose a port when the target is known: it then need not
// be free towards every other target, and is found at once.
func bindLate(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1) // kernels before 4.2 choose early
	})
}
