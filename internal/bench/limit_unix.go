//go:build unix

package bench

import "syscall"

// descriptors raises the limit on open files as far as possible and returns it, 0 if it
// is unknown.
func descriptors() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = l.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	return int(min(uint64(l.Cur), 10_000_000)) //nolint:unconvert // its type differs between systems
}
