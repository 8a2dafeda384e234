//go:build !linux

package chart

import "os/exec"

// startTied starts a program that ends with cluster.stop.
func startTied(cmd *exec.Cmd) error { return cmd.Start() }
