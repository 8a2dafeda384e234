package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

type withPostgresCmd struct {
	Command []string `arg:"" passthrough:"" help:"${postgres_help}"`
}

// Help shows a call.
func (withPostgresCmd) Help() string {
	return "  go run ./cmd/chowk-lab with-postgres npm test"
}

// Run runs the command and exits with its exit code.
func (cmd *withPostgresCmd) Run() error {
	args := cmd.Command
	if args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("name the command to run")
	}
	url, remove, err := startPostgres()
	if err != nil {
		return err
	}
	defer remove()
	run := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // the user named it; it ends by itself
	run.Env = append(os.Environ(), "CHOWK_PG_URL="+url)
	run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = run.Run()
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return exitError(exited.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", args[0], err)
	}
	return nil
}
