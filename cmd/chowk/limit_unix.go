//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// socketLimit raises the limit on open files as far as it goes, and gives how many
// sockets that allows: asked, or with 0 all but a reserve.
func socketLimit(asked int) (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return asked, nil //nolint:nilerr // a system without the limit
	}
	if l.Cur < l.Max {
		raised := l
		raised.Cur = l.Max
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised) == nil {
			l = raised
		}
	}
	most := int(min(uint64(l.Cur), 10_000_000)) - reserve //nolint:unconvert // its type differs between systems
	switch {
	case most < 1:
		return 0, fmt.Errorf("the limit on open files is %d, of which chowk itself needs %d: raise it (ulimit -n)", l.Cur, reserve)
	case asked == 0:
		return most, nil
	case asked > most:
		return 0, fmt.Errorf("limits.sockets is %d, but the limit on open files allows %d: raise it (ulimit -n), or ask for fewer", asked, most)
	}
	return asked, nil
}

// fileLimit is the limit on open files, 0 when it is unknown.
func fileLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return int(min(uint64(l.Cur), 10_000_000)) //nolint:unconvert // its type differs between systems
}
