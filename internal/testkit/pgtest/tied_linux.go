package pgtest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startTied starts a server that the kernel ends when this process ends. The kernel
// sends the signal when the thread that started it ends, so that thread is kept.
func startTied(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() { // ends with the process: its thread has to live as long as the server
		runtime.LockOSThread()
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT
		started <- cmd.Start()
		select {}
	}()
	return <-started
}
