// Package testkit holds what several test suites and benchmarks share: it builds
// the server and runs it as a process, puts a faulty network in front of it and
// signs tokens. Package pgtest below it starts PostgreSQL.
package testkit

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the binary of this test process.
var built struct {
	dir   string // "" outside of Main
	flags []string
	once  sync.Once
	path  string
	err   error
}

// Main runs the tests of a package for its TestMain, and returns the exit code.
// Binary builds the server with these flags of go build.
func Main(m *testing.M, flags ...string) int {
	var err error
	if built.dir, err = os.MkdirTemp("", "chowk-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(built.dir)
	built.flags = flags
	return m.Run()
}

// HeavyMain is Main for a package in which every test runs the built server: with
// -short it runs none of them.
func HeavyMain(m *testing.M, flags ...string) int {
	flag.Parse()
	if testing.Short() {
		fmt.Println("skipped with -short: these tests run the built server")
		return 0
	}
	return Main(m, flags...)
}

// Binary returns the path of the server, which the first call builds. It skips a
// test with -short, and needs Main in the package's TestMain.
func Binary(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped with -short: it runs the built server")
	}
	path, err := BinaryPath()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// BinaryPath is Binary for an example.
func BinaryPath() (string, error) {
	built.once.Do(func() {
		if built.dir == "" {
			built.err = errors.New("testkit.Binary needs testkit.Main in TestMain")
			return
		}
		built.path = filepath.Join(built.dir, "chowk")
		built.err = Build(built.path, built.flags...)
	})
	return built.path, built.err
}

// Build builds the server with flags of go build.
func Build(path string, flags ...string) error {
	args := append([]string{"build", "-o", path}, flags...)
	// go test runs in the directory of the tested package, hence the import path.
	args = append(args, "github.com/chowk-chat/chowk/cmd/chowk")
	build := exec.Command("go", args...) //nolint:gosec,noctx // it ends by itself
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the server: %w", err)
	}
	return nil
}

// FreeAddress is Address for a test.
func FreeAddress(t testing.TB) string {
	t.Helper()
	address, err := Address()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Address returns a free loopback address. Its port is outside of the range that the
// kernel uses for outgoing connections, so that it stays free while a server is down.
func Address() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		address := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err = net.Listen("tcp", address); err == nil { //nolint:noctx // it does not wait
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
