//go:build !linux

package bench

import "syscall"

// bindLate does nothing: only Linux has the option.
func bindLate(_, _ string, _ syscall.RawConn) error { return nil }
