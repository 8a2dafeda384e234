//go:build unix

package ops

import "golang.org/x/sys/unix"

// Disk gives the bytes that are free for this process, and all there are, on the
// file system of path; ok is false when the system does not tell.
func Disk(path string) (free, total uint64, ok bool) {
	var s unix.Statfs_t
	if unix.Statfs(path, &s) != nil {
		return 0, 0, false
	}
	size := uint64(s.Bsize)
	return uint64(s.Bavail) * size, s.Blocks * size, true //nolint:unconvert // its type differs between systems
}
