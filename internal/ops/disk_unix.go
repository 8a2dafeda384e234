//go:build unix

package ops

import "golang.org/x/sys/unix"

// Disk returns the bytes available to this process, and the total, on the file
// system of path. ok is false if the system does not report them.
func Disk(path string) (free, total uint64, ok bool) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0, 0, false
	}
	size := uint64(s.Bsize)
	return uint64(s.Bavail) * size, s.Blocks * size, true //nolint:unconvert // its type differs between systems
}
