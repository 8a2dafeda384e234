package chart

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a program that the kernel ends when this process does, however it
// ends. The signal comes when the thread that started it ends, so that thread is kept.
func startTied(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() { // ends with the process: its thread must last as long as the program
		runtime.LockOSThread()
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		started <- cmd.Start()
		select {}
	}()
	return <-started
}
