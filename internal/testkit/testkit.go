// Package testkit builds the server for tests that run it as its users do.
package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Main is a TestMain: it builds the server with flags of go build, says where it is,
// and runs the tests. The result is the exit code.
func Main(m *testing.M, binary *string, flags ...string) int {
	dir, err := os.MkdirTemp("", "chowk-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	*binary = filepath.Join(dir, "chowk")
	if err := Build(*binary, flags...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Build builds the server. go test runs in the folder of the package under test, so
// the module's path is what names it.
func Build(path string, flags ...string) error {
	args := append([]string{"build", "-o", path}, flags...)
	build := exec.Command("go", append(args, "github.com/chowk-chat/chowk/cmd/chowk")...) //nolint:gosec,noctx // it ends by itself
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

// Address finds a free loopback address outside of the range from which the kernel
// gives ports to outgoing connections: nobody takes it while a server is down.
func Address() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))); err == nil { //nolint:noctx // it does not wait
			return l.Addr().String(), l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
