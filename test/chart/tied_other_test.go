//go:build !linux

package chart

import "os/exec"

// startTied starts a program that only cluster.stop ends.
func startTied(cmd *exec.Cmd) error { return cmd.Start() }
