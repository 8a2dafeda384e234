package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Options describe how a server is started.
type Options struct {
	// Binary is the server's path.
	Binary string
	// Dir is the working directory and, unless a setting names another, the data
	// directory.
	Dir string
	// Settings are the server's, such as auth=none. Defaults are a free port for
	// listen and ops.listen, log.format=json, and canary.interval=0, because the
	// canary's statements would count in tests.
	Settings []string
	// Env is added to the environment, from which settings of the server are removed.
	Env []string
	// Through is a command that becomes the server, such as ip netns exec NAME.
	Through []string
	// Dial is used to find out whether the server accepts connections; nil for
	// net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server is a chowk process. After it has ended it can be started again; with a
// fixed listen setting, at the same address.
type Server struct {
	// URL is the public listener's, and Ops the operations listener's ("" if off):
	// http://HOST:PORT, valid from the first start on.
	URL, Ops string
	Log      Log

	options Options
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	err     error         // how it ended
	settled atomic.Bool   // the end of the process was wanted, or Stop has reported it
	cpu     atomic.Int64  // CPU time of processes that have ended, in nanoseconds
}

// ErrNotStopped is returned for a server that did not end in time.
var ErrNotStopped = errors.New("the server did not stop in time")

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	dialInterval = 5 * time.Millisecond
)

// NewServer returns a server that does not run yet.
func NewServer(o Options) *Server {
	defaults := []string{
		"listen=127.0.0.1:0", "ops.listen=127.0.0.1:0", "log.format=json", "canary.interval=0", "data-dir=" + o.Dir,
	}
	o.Settings = slices.Clone(o.Settings)
	for _, d := range defaults {
		name, _, _ := strings.Cut(d, "=")
		if _, given := setting(o.Settings, name); !given {
			o.Settings = append(o.Settings, d)
		}
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	s := &Server{options: o}
	s.URL, s.Ops = s.fixedURL("listen"), s.fixedURL("ops.listen")
	return s
}

// fixedURL returns the URL of a listener with a fixed address, "" for others.
func (s *Server) fixedURL(name string) string {
	address, _ := setting(s.options.Settings, name)
	if address == "" || address == "off" || s.chooses(name) {
		return ""
	}
	return "http://" + address
}

// StartServer starts a server.
func StartServer(o Options) (*Server, error) {
	s := NewServer(o)
	return s, s.Start()
}

// setting returns the last value of a setting.
func setting(settings []string, name string) (value string, given bool) {
	for _, s := range settings {
		if n, v, _ := strings.Cut(strings.TrimPrefix(s, "--"), "="); n == name {
			value, given = v, true
		}
	}
	return value, given
}

// Start starts the process, and returns when it accepts connections.
func (s *Server) Start() error {
	from := s.Log.position()
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.await(from); err != nil {
		s.Kill()
		return err
	}
	return nil
}

func (s *Server) launch() error {
	args := append(slices.Clone(s.options.Through), s.options.Binary, "serve")
	for _, setting := range s.options.Settings {
		args = append(args, "--"+strings.TrimPrefix(setting, "--"))
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // the server; Stop and Kill end it
	cmd.Dir = s.options.Dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), isSetting), s.options.Env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	exited := make(chan struct{})
	s.cmd, s.exited = cmd, exited
	s.settled.Store(false)
	s.Log.begin()
	go func() { // ends with the process
		s.Log.read(stderr)
		s.err = cmd.Wait()
		s.cpu.Add(int64(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()))
		close(exited)
		s.Log.end()
	}()
	return nil
}

func isSetting(variable string) bool { return strings.HasPrefix(variable, "CHOWK_") }

// await waits until the server listens. Where it chose the port, the log names it.
func (s *Server) await(from int) (err error) {
	if s.chooses("ops.listen") {
		if s.Ops, err = s.Log.url(from, "operations"); err != nil {
			return err
		}
	}
	if !s.chooses("listen") {
		return s.dial(s.Address())
	}
	page, err := s.Log.url(from, "listening")
	s.URL = strings.TrimSuffix(page, "/messages")
	return err
}

// chooses reports whether the server chooses the port of a listener.
func (s *Server) chooses(name string) bool {
	address, _ := setting(s.options.Settings, name)
	return strings.HasSuffix(address, ":0")
}

// dial waits until an address accepts connections.
func (s *Server) dial(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		c, err := s.options.Dial(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("the server ended; its log:\n%s", s.Log.Tail(30))
		case <-ctx.Done():
			return fmt.Errorf("the server does not listen on %s: %w; its log:\n%s", address, err, s.Log.Tail(30))
		case <-time.After(dialInterval):
		}
	}
}

// SetBinary and SetThrough change Options for the next start.
func (s *Server) SetBinary(path string) { s.options.Binary = path }

// SetThrough changes the command that becomes the server.
func (s *Server) SetThrough(command ...string) { s.options.Through = command }

// Address is the public listener's host:port.
func (s *Server) Address() string { return strings.TrimPrefix(s.URL, "http://") }

// Pid is the process id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// EndedCPU returns the CPU time of the processes that have ended.
func (s *Server) EndedCPU() time.Duration { return time.Duration(s.cpu.Load()) }

// Signal sends a signal to the process; one that has ended is not an error.
func (s *Server) Signal(sig os.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal the server: %w", err)
	}
	return nil
}

// Stop asks the server to stop, and waits for it as Wait does.
func (s *Server) Stop() error {
	if s.cmd == nil || s.settled.Load() {
		return nil
	}
	if s.Signal(syscall.SIGTERM) != nil { // Windows has no such signal
		s.Kill()
	}
	return s.Wait()
}

// Wait waits until the process has ended, and returns an error if it did not end in
// time with exit code 0. It returns nil after Kill, and when it is called again.
func (s *Server) Wait() error {
	if s.settled.Load() {
		return nil
	}
	defer s.settled.Store(true)
	late := time.NewTimer(stopTimeout)
	defer late.Stop()
	select {
	case <-s.exited:
	case <-late.C:
		s.Kill()
		return fmt.Errorf("%w (%s); its log:\n%s", ErrNotStopped, stopTimeout, s.Log.Tail(100))
	}
	if s.err != nil {
		return fmt.Errorf("the server ended with %w; its log:\n%s", s.err, s.Log.Tail(100))
	}
	return nil
}

// Kill ends the process immediately, and waits until it has ended.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	s.settled.Store(true)
	_ = s.cmd.Process.Kill() // fails only if it has ended
	<-s.exited
}
