package chart

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a program that the kernel kills when this process ends. The signal
// is sent when the thread that started the program ends, so that thread is kept.
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
