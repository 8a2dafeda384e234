package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/chowk-chat/chowk/internal/history"
)

type checkCmd struct {
	File string `arg:"" name:"file" help:"A history, as a fault run that failed leaves it."`
}

// Help says what is checked.
func (checkCmd) Help() string {
	return "A history is what clients saw and what the database holds afterwards. It is\n" +
		"checked against every promise: nothing acknowledged is lost, one order without\n" +
		"holes, no repeats. It exits with 1 when a promise was broken:\n\n" +
		"  CHOWK_FAULTS_KEEP=. make test-faults\n" +
		"  chowk check history-123.bin"
}

var errBroken = errors.New("the history breaks what is promised")

func (cmd checkCmd) run(c invocation) error {
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
