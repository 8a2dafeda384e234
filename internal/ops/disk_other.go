//go:build !unix

package ops

// Disk reports nothing on this system.
func Disk(string) (free, total uint64, ok bool) { return 0, 0, false }
