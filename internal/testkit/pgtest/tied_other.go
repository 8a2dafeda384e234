//go:build !linux && !windows

package pgtest

import "os/exec"

// startTied starts a server that Remove ends.
func startTied(cmd *exec.Cmd) error { return cmd.Start() }
