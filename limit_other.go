//go:build !unix

package chowk

// socketLimit returns how many sockets are allowed: this system has no limit on open
// files.
func socketLimit(wanted int) (int, error) { return wanted, nil }

// fileLimit returns 0: the limit on open files is unknown.
func fileLimit() int { return 0 }
