//go:build !windows

package alerts

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// patience bounds every wait. The longest alert waits for an hour, which is two minutes
// here.
const patience = 3 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	forget, err := useMemory()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer forget()
	// These tests mostly wait.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := testkit.HeavyMain(m, version("v1.0.0")...)
	if err := results.write(os.Getenv("CHOWK_ALERTS_TABLE")); err != nil {
		fmt.Fprintln(os.Stderr, "write the table:", err)
		return 1
	}
	return code
}

// version returns the flags of go build for a server of that version.
func version(name string) []string { return []string{"-ldflags", "-X main.version=" + name} }

// useMemory puts databases into memory if there is enough. A disk that other programs
// keep busy stalls for a second now and then, which the rules would take for half a
// minute.
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
	// PostgreSQL runs as another user if the tests run as root.
	return forget, errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir)) //nolint:gosec // for all to pass through
}

// everything reports whether all faults are wanted, which takes minutes.
func everything() bool { return os.Getenv("CHOWK_ALERTS") == "all" }

// server is a chowk that can be stopped, and started again at the same addresses.
type server struct {
	*testkit.Server
	t            *testing.T
	address, ops string
	database     string
}

// serve starts a server whose canary and heartbeat fit the rules' speed.
func serve(t *testing.T, speed int, database string, settings ...string) *server {
	t.Helper()
	s := prepare(t, speed, database, settings...)
	s.start()
	return s
}

func prepare(t *testing.T, speed int, database string, settings ...string) *server {
	t.Helper()
	s := &server{t: t, address: testkit.FreeAddress(t), ops: testkit.FreeAddress(t), database: database}
	s.Server = testkit.NewServer(testkit.Options{Binary: testkit.Binary(t), Dir: t.TempDir(), Settings: append([]string{
		"listen=" + s.address, "ops.listen=" + s.ops, "auth=none", "database-url=" + database,
		fmt.Sprintf("canary.interval=%v", 10*time.Second/time.Duration(speed)),
		fmt.Sprintf("heartbeat=%v", max(time.Second, 30*time.Second/time.Duration(speed))),
		"log.level=warn", "drain.window=0s",
	}, settings...)})
	t.Cleanup(s.Kill)
	return s
}

// start returns when the server listens.
func (s *server) start() {
	s.t.Helper()
	if err := s.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) signal(sig os.Signal) {
	if err := s.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// restart stops and starts the server, with the settings that were changed in between.
func (s *server) restart() {
	s.Kill()
	s.start()
}

func sqlite(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "chowk.db") }

// lines indents a log for a message.
func lines(log string) string { return strings.ReplaceAll(strings.TrimSpace(log), "\n", "\n\t") }
