package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// target is a running server.
type target interface {
	name() string
	pid() int
	// at returns how the ith socket connects; sockets with the same i/size are in one
	// group.
	at(i, size int) address
	// prepare creates the groups of size for n sockets.
	prepare(n, size int) error
	// load publishes events to groups in turn, at a rate per second (0: as fast as
	// possible), and returns when all are accepted.
	load(groups, count, rate int) error
	// ask returns a small event that is answered immediately, echoing number n.
	ask(n int) []byte
	memory() (memory, error)
	stop()
}

// process is a server started by this program.
type process struct {
	cmd *exec.Cmd
	in  io.Closer
	url string
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) stop() {
	_ = p.in.Close()
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { // ends with the process
		_ = p.cmd.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-done
	}
}

// library is a peer's server, in a process of its own.
type library struct {
	process
	title string
}

func startLibrary(name string) (target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-serve", name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return &library{process{cmd, in, strings.TrimSpace(line)}, name}, nil
}

func (l *library) name() string           { return l.title }
func (l *library) prepare(int, int) error { return nil }

func (l *library) at(i, size int) address {
	a := address{host: strings.TrimPrefix(l.url, "http://"), path: fmt.Sprintf("/ws?group=g%d", i/size)}
	if strings.HasPrefix(l.title, "centrifuge") {
		a.first = []byte(`{"connect":{},"id":1}`)
	}
	return a
}

// load makes the server itself create the events: an HTTP request for each would count
// against it.
func (l *library) load(groups, count, rate int) error {
	r, err := http.Post(fmt.Sprintf("%s/load?groups=%d&count=%d&rate=%d", l.url, groups, count, rate), "", nil)
	if err != nil {
		return err
	}
	return r.Body.Close()
}

func (l *library) ask(n int) []byte {
	if strings.HasPrefix(l.title, "centrifuge") {
		return fmt.Appendf(nil, `{"rpc":{"data":{"n":"@@%08d"}},"id":%d}`, n, n+2)
	}
	return fmt.Appendf(nil, `{"type":"ping","id":"@@%08d"}`, n)
}

func (l *library) memory() (m memory, err error) {
	r, err := http.Get(l.url + "/memory")
	if err != nil {
		return m, err
	}
	defer r.Body.Close()
	return m, json.NewDecoder(r.Body).Decode(&m)
}
