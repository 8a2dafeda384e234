package faults

import "golang.org/x/sys/unix"

// setns moves the calling thread into a network namespace.
func setns(fd uintptr) error { return unix.Setns(int(fd), unix.CLONE_NEWNET) }
