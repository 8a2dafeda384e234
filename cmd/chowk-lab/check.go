package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/chowk-chat/chowk/internal/history"
)

type checkCmd struct {
	File string `arg:"" type:"existingfile" help:"A history, as written by a fault run that failed."`
}

// Help describes what is checked.
func (checkCmd) Help() string {
	return `A history holds what clients saw and what the database contains afterwards. It is
checked against every guarantee: nothing acknowledged is lost, one order without
gaps, no repeats. The exit code is 1 when a guarantee was broken:

  CHOWK_FAULTS_KEEP=. make test-faults
  go run ./cmd/chowk-lab check history-123.bin`
}

var errBroken = errors.New("the history breaks a guarantee")

// Run checks the file.
func (cmd *checkCmd) Run(c invocation) error {
	f, err := os.Open(cmd.File)
	if err != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	h, err := history.Read(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", cmd.File, err)
	}
	r := history.Check(h)
	if _, err := fmt.Fprint(c.out, r); err != nil {
		return err
	}
	if len(r.Violations) > 0 {
		return errBroken
	}
	return nil
}
