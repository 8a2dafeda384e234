//go:build !windows

package pgtest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Query runs a statement on the database at a URL and returns the rows as text, with
// columns separated by |.
func Query(t testing.TB, url, sql string) []string {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := query(bin, url, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func query(bin, url, sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), serverTimeout)
	defer cancel()
	psql := program(bin, "psql")
	cmd := exec.CommandContext(ctx, psql, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql, url)
	cmd.Dir = os.TempDir()
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("psql: %w: %s", err, complaint.String())
	}
	return strings.Fields(out.String()), nil
}

// program returns the path of one of PostgreSQL's programs. The directory may hold
// links to some of them only.
func program(bin, name string) string {
	if path := filepath.Join(bin, name); exists(path) {
		return path
	}
	if real, err := filepath.EvalSymlinks(filepath.Join(bin, "initdb")); err == nil {
		if path := filepath.Join(filepath.Dir(real), name); exists(path) {
			return path
		}
	}
	return name
}

// Lock locks a table against all access, reads included, until unlock is called.
func Lock(t testing.TB, url, table string) (unlock func()) {
	t.Helper()
	bin, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	psql := program(bin, "psql")
	args := []string{"-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url}
	cmd := exec.Command(psql, args...) //nolint:noctx // it ends with its input
	cmd.Dir = os.TempDir()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	unlock = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(unlock)
	if _, err := io.WriteString(in,
		"BEGIN; LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("lock %s: %q, %v", table, line, err)
	}
	return unlock
}
