//go:build !windows

package alerts

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// patience bounds every wait. The longest alert waits for an hour, which is two
// minutes here.
const patience = 3 * time.Minute

// binary is the server, and newer the same with another version.
var binary, newer string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "chowk-alerts-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary, newer = filepath.Join(dir, "chowk"), filepath.Join(dir, "chowk-newer")
	err = testkit.Build(binary, "-ldflags", "-X main.version=v1.0.0")
	if err == nil && everything() {
		err = testkit.Build(newer, "-ldflags", "-X main.version=v1.1.0")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	forget, err := useMemory()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer forget()
	// They wait more than they work.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := results.write(os.Getenv("CHOWK_ALERTS_TABLE")); err != nil {
		fmt.Fprintln(os.Stderr, "write the table:", err)
		return 1
	}
	return code
}

// useMemory puts databases into memory where there is room for it. A disk that
// others keep busy stalls for a second now and then, which the rules would take for
// half a minute.
func useMemory() (forget func(), err error) {
	const memory, enough = "/dev/shm", 4 << 30
	var s unix.Statfs_t
	if unix.Statfs(memory, &s) != nil || s.Bavail*uint64(s.Bsize) < enough || unix.Access(memory, unix.W_OK) != nil {
		return func() {}, nil //nolint:nilerr // then they are on disk
	}
	dir, err := os.MkdirTemp(memory, "chowk-alerts-")
	if err != nil {
		return nil, err
	}
	forget = func() { _ = os.RemoveAll(dir) }
	// PostgreSQL runs as another user when the tests are root's.
	return forget, errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)) //nolint:gosec // for all to pass through
}

// everything says whether all faults are wanted, which takes minutes.
func everything() bool { return os.Getenv("CHOWK_ALERTS") == "all" }

// tail keeps the end of a log.
type tail struct {
	mu sync.Mutex // guards what follows
	b  []byte
}

func (l *tail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 8 << 10
	l.b = append(l.b, b...)
	l.b = l.b[max(0, len(l.b)-most):]
	return len(b), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

// server is a chowk that can be ended, and started again at the same addresses.
type server struct {
	t            *testing.T
	address, ops string
	command      []string // the program, and what it is started through
	args         []string
	cmd          *exec.Cmd
	log          tail
}

// serve starts a server with settings whose clocks fit the rules' speed: the
// canary's and the heartbeat.
func serve(t *testing.T, speed int, database string, settings ...string) *server {
	t.Helper()
	s := prepare(t, speed, database, settings...)
	s.start()
	return s
}

func prepare(t *testing.T, speed int, database string, settings ...string) *server {
	t.Helper()
	s := &server{t: t, address: testkit.FreeAddress(t), ops: testkit.FreeAddress(t), command: []string{binary}}
	s.args = append([]string{
		"serve", "--listen=" + s.address, "--ops.listen=" + s.ops, "--auth=none", "--database-url=" + database, "--data-dir=" + t.TempDir(),
		fmt.Sprintf("--canary.interval=%v", 10*time.Second/time.Duration(speed)),
		fmt.Sprintf("--heartbeat=%v", max(time.Second, 30*time.Second/time.Duration(speed))),
		"--log.level=warn", "--drain.window=0s",
	}, settings...)
	t.Cleanup(s.kill)
	return s
}

// start returns when the server listens.
func (s *server) start() {
	s.t.Helper()
	all := append(s.command[:len(s.command):len(s.command)], s.args...)
	s.cmd = exec.Command(all[0], all[1:]...)
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // the server would take our own settings for its own
	s.cmd.Stderr = &s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for until := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + s.address + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(until) || syscall.Kill(s.cmd.Process.Pid, 0) != nil {
			s.t.Fatalf("the server does not listen: %v\n%s", err, &s.log)
		}
	}
}

// kill ends the server with no chance to do anything.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("send %v: %v", sig, err)
	}
}

// restart ends and starts the server, with what was changed in between.
func (s *server) restart() {
	s.kill()
	s.start()
}

func sqlite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "chowk.db") }

// lines indents a log for a message.
func lines(log string) string { return strings.ReplaceAll(strings.TrimSpace(log), "\n", "\n\t") }
