//go:build unix

package chowk

import (
	"fmt"
	"syscall"
)

// maxFiles bounds a limit on open files that means unlimited.
const maxFiles = 10_000_000

// socketLimit returns how many sockets the limit on open files allows: wanted, or with
// 0 all except a reserve. The Go runtime has raised the limit as far as it goes.
func socketLimit(wanted int) (int, error) {
	files := fileLimit()
	if files == 0 {
		return wanted, nil
	}
	switch allowed := files - reservedFiles; {
	case allowed < 1:
		return 0, fmt.Errorf("the limit on open files is %d, and chowk itself needs %d: raise it (ulimit -n)",
			files, reservedFiles)
	case wanted == 0:
		return allowed, nil
	case wanted > allowed:
		return 0, fmt.Errorf("limits.sockets is %d, but the limit on open files allows %d: "+
			"raise that limit (ulimit -n) or lower limits.sockets", wanted, allowed)
	}
	return wanted, nil
}

// fileLimit returns the limit on open files, 0 when it is unknown.
func fileLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(uint64(l.Cur), maxFiles)) //nolint:unconvert // its type differs between systems
}
