//go:build !linux

package bench

import "syscall"

// bindLate is Linux's alone.
func bindLate(_, _ string, _ syscall.RawConn) error { return nil }
