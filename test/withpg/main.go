//go:build unix

// Command withpg runs a command beside a PostgreSQL server of its own, whose
// address is in CHOWK_PG_URL: go run ./test/withpg npm test
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/chowk-chat/chowk/internal/pgtest"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "withpg: name the command to run")
		return 2
	}
	server, err := pgtest.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpg:", err)
		return 1
	}
	defer server.Remove()
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // it is what we were asked to run
	cmd.Env = append(os.Environ(), "CHOWK_PG_URL="+server.URL())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return exited.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpg:", err)
		return 1
	}
	return 0
}
