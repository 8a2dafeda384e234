//go:build !windows

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Replica starts a streaming replica of the server for a test; it is asynchronous,
// which is PostgreSQL's default.
func (s *Server) Replica(t testing.TB) *Server {
	t.Helper()
	r, err := s.replica()
	if err != nil {
		t.Fatal(err)
	}
	r.fail = t.Fatalf
	t.Cleanup(r.Remove)
	return r
}

func (s *Server) replica() (r *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chowk-pg-")
	if err != nil {
		return nil, fmt.Errorf("create a directory for PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(dir)
		}
	}()
	r = &Server{dir: dir, data: filepath.Join(dir, "data"), settings: s.settings, fail: s.fail}
	if err := chown(dir); err != nil {
		return nil, err
	}
	args := []string{
		"-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-U", "chowk",
		"-D", r.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
	}
	cmd := exec.Command(program(bin, "pg_basebackup"), args...) //nolint:noctx // bounded work
	cmd.Dir = dir
	s.unprivileged(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin"), []byte(bin), 0o644); err != nil { //nolint:gosec // a path
		return nil, err
	}
	return r, r.firstStart()
}
