//go:build unix

package doctor

import "golang.org/x/sys/unix"

// descriptors returns the hard limit, to which the server raises its own.
func descriptors() uint64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Max) //nolint:unconvert // its type differs between systems
}
