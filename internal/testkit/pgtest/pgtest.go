//go:build !windows

// Package pgtest starts PostgreSQL servers for tests, from the installed binaries: one
// shared server for each test process, with a database for each test, and separate
// servers for tests that stop, freeze or kill them. They end with the process, however
// it ends.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serverTimeout bounds how long a server may take to start or stop.
const serverTimeout = 60 * time.Second

// Server is a PostgreSQL server on loopback.
type Server struct {
	dir      string
	data     string // the data directory
	logStart int64  // the length of the log before the last start
	port     int
	settings []string
	cmd      *exec.Cmd
	fail     func(format string, args ...any)
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// count numbers the databases of this process.
var count atomic.Int64

// Database creates an empty database on the server shared by this process's tests, and
// returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() { shared.server, shared.err = New() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	name := fmt.Sprintf("test_%d", count.Add(1))
	if err := shared.server.Exec("postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return shared.server.url(name)
}

// Start starts a server for one test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s.fail = t.Fatalf
	t.Cleanup(s.Remove)
	return s
}

// StartOn is Start with a data directory that moves: it is created in disk, and the
// server runs in at. mount is called in between. Pages have checksums, and WAL files
// have 1 MiB, so that short tests also reuse them.
func StartOn(t testing.TB, disk, at string, mount func(), settings ...string) *Server {
	t.Helper()
	s, err := prepare(filepath.Join(disk, "data"), settings, "--data-checksums", "--wal-segsize=1")
	if err != nil {
		t.Fatal(err)
	}
	mount()
	s.data = filepath.Join(at, "data")
	if err := s.firstStart(); err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(s.dir)))
	}
	s.fail = t.Fatalf
	t.Cleanup(s.Remove)
	return s
}

// New starts a server; Remove ends it. A setting is name=value, as in postgresql.conf.
func New(settings ...string) (*Server, error) {
	s, err := prepare("", settings)
	if err != nil {
		return nil, err
	}
	if err := s.firstStart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// prepare returns a server that does not run yet, with its data in the given directory,
// or in its own one if data is "". Options are initdb's.
func prepare(data string, settings []string, options ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chowk-pg-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for PostgreSQL: %w", err)
	}
	s := &Server{
		dir: dir, data: data, settings: settings,
		fail: func(f string, a ...any) { panic("pgtest: " + fmt.Sprintf(f, a...)) },
	}
	if data == "" {
		s.data = filepath.Join(dir, "data")
	} else if err := chown(filepath.Dir(data)); err != nil {
		return nil, err
	}
	if err := s.init(bin, options); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// errTaken means that another program uses the port.
var errTaken = errors.New("another program took the port before postgres listened on it")

// firstStart chooses a port, and another one if it was taken meanwhile.
func (s *Server) firstStart() (err error) {
	for range 5 {
		s.port = 0
		if err = s.start(); !errors.Is(err, errTaken) {
			return err
		}
		_ = s.cmd.Wait() // it ended by itself
	}
	return err
}

// binaries returns the directory of PostgreSQL's server programs.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil { //nolint:noctx // it ends at once
		if dir := strings.TrimSpace(string(out)); exists(filepath.Join(dir, "initdb")) {
			return dir, nil
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL's server programs (initdb, postgres) are not installed: " +
			"run make tools, or install the package postgresql")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (s *Server) init(bin string, options []string) error {
	if err := chown(s.dir); err != nil {
		return err
	}
	args := []string{"-D", s.data, "-U", "chowk", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"}
	args = append(args, options...)
	cmd := exec.Command(filepath.Join(bin, "initdb"), args...) //nolint:noctx // bounded work
	cmd.Dir = s.dir
	s.unprivileged(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.WriteFile(filepath.Join(s.dir, "bin"), []byte(bin), 0o644) //nolint:gosec // a path
}

// serverUser returns the user that runs the server: PostgreSQL refuses to run as root.
func serverUser() (uid, gid uint32, needed bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			id, err1 := strconv.Atoi(u.Uid)
			group, err2 := strconv.Atoi(u.Gid)
			if err1 == nil && err2 == nil {
				return uint32(id), uint32(group), true
			}
		}
	}
	return 65534, 65534, true
}

func chown(dir string) error {
	uid, gid, needed := serverUser()
	if !needed {
		return nil
	}
	return os.Chown(dir, int(uid), int(gid))
}

func (s *Server) start() error {
	bin, err := os.ReadFile(filepath.Join(s.dir, "bin"))
	if err != nil {
		return err
	}
	if s.port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if err != nil {
			return err
		}
		s.port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY,
		0o644) //nolint:gosec // a log
	if err != nil {
		return err
	}
	defer log.Close()
	if s.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	s.cmd = exec.Command(filepath.Join(string(bin), "postgres"), "-D", s.data, //nolint:noctx // it runs on
		"-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", s.dir,
		"-c", "max_connections=100", "-c", "shared_buffers=128MB", "-c", "log_min_messages=error")
	for _, setting := range s.settings {
		s.cmd.Args = append(s.cmd.Args, "-c", setting)
	}
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.unprivileged(s.cmd)
	if err := startTied(s.cmd); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	return s.await()
}

// await waits until the server answers.
func (s *Server) await() error {
	until := time.Now().Add(serverTimeout)
	for {
		err := s.Exec("postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
		log = log[min(int(s.logStart), len(log)):]
		if bytes.Contains(log, []byte("could not create any TCP/IP sockets")) {
			return errTaken
		}
		if bytes.Contains(log, []byte("due to startup process failure")) {
			_ = s.cmd.Wait() // it ended by itself
			return fmt.Errorf("postgres does not recover:\n%s", log)
		}
		if time.Now().After(until) {
			return fmt.Errorf("postgres does not answer: %w\n%s", err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) unprivileged(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if uid, gid, needed := serverUser(); needed {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
}

// Pid is the process id of the postmaster, the parent of all other processes.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Create creates an empty database and returns its URL.
func (s *Server) Create(name string) (string, error) {
	return s.url(name), s.Exec("postgres", "CREATE DATABASE "+name)
}

// URL is that of the database postgres.
func (s *Server) URL() string { return s.url("postgres") }

func (s *Server) url(database string) string {
	u := url.URL{
		Scheme: "postgres", User: url.User("chowk"), Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path: database,
	}
	return u.String()
}

// SocketURL is a database's URL through the server's Unix socket, which does not depend
// on the network.
func (s *Server) SocketURL(database string) string {
	return fmt.Sprintf("postgres://chowk@/%s?host=%s&port=%d", url.PathEscape(database), url.QueryEscape(s.dir), s.port)
}

// Exec runs a statement with psql.
func (s *Server) Exec(database, sql string) error {
	bin, err := os.ReadFile(filepath.Join(s.dir, "bin"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	psql := filepath.Join(string(bin), "psql")
	if !exists(psql) {
		psql = "psql"
	}
	cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", sql, s.url(database))
	cmd.Dir = s.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out.String())
	}
	return nil
}

// Stop ends the server as an immediate shutdown does: connections are cut, and the next
// start recovers.
func (s *Server) Stop() { s.signal(syscall.SIGQUIT, true) }

// Kill kills the server and all its processes.
func (s *Server) Kill() { s.signal(syscall.SIGKILL, true) }

// Pause freezes the server until Continue.
func (s *Server) Pause() { s.everyProcess(syscall.SIGSTOP) }

// Continue lets a frozen server go on.
func (s *Server) Continue() { s.everyProcess(syscall.SIGCONT) }

// Start starts a server that was stopped or killed, at the same address.
func (s *Server) Start() {
	if err := s.start(); err != nil {
		s.fail("%v", err)
	}
}

func (s *Server) signal(sig syscall.Signal, wait bool) {
	if sig == syscall.SIGKILL {
		s.everyProcess(sig)
	} else if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.fail("signal postgres: %v", err)
	}
	if wait {
		_ = s.cmd.Wait()
	}
}

// everyProcess signals the postmaster and its children.
func (s *Server) everyProcess(sig syscall.Signal) {
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(s.cmd.Process.Pid)).Output() //nolint:noctx // it ends at once
	// Exit code 1 means that it has none at this moment.
	if none := new(exec.ExitError); err != nil && !errors.As(err, &none) {
		s.fail("list the processes of postgres: %v", err)
	}
	pids := []int{s.cmd.Process.Pid}
	for field := range strings.FieldsSeq(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			s.fail("signal process %d of postgres: %v", pid, err)
		}
	}
}

// Remove ends the server and deletes its files.
func (s *Server) Remove() {
	if s.cmd.ProcessState == nil {
		s.Continue()
		s.signal(syscall.SIGQUIT, true)
	}
	_ = os.RemoveAll(s.dir)
}
