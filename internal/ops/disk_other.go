//go:build !unix

package ops

// Disk would tell how much is free on the file system of path.
func Disk(string) (free, total uint64, ok bool) { return 0, 0, false }
