package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/chowk-chat/chowk/internal/testkit/faultresult"
)

type faultsTableCmd struct {
	File  string `arg:"" help:"Results, as written by make test-faults."`
	Into  string `placeholder:"FILE" help:"${table_help}"`
	Least int    `placeholder:"N" help:"Fail when fewer messages than this were acknowledged."`
}

// Help describes when the command fails.
func (faultsTableCmd) Help() string {
	return "The exit code is 1 when a guarantee was broken."
}

const (
	beginMarker = "<!-- faults: begin -->\n"
	endMarker   = "<!-- faults: end -->\n"
)

// Run writes the table.
func (cmd *faultsTableCmd) Run(c invocation) error {
	results, err := faultresult.Read(cmd.File)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return fmt.Errorf("%q holds no results; make test-faults writes them", cmd.File)
	}
	var table bytes.Buffer
	kept, err := faultresult.Table(&table, results)
	if err != nil {
		return err
	}
	if cmd.Into == "" {
		_, err = c.out.Write(table.Bytes())
	} else {
		err = replaceTable(cmd.Into, table.Bytes())
	}
	messages := 0
	for _, r := range results {
		messages += r.Messages
	}
	switch {
	case err != nil:
		return err
	case !kept:
		return errors.New("a guarantee was broken")
	case messages < cmd.Least:
		return fmt.Errorf("%d messages were acknowledged, fewer than %d", messages, cmd.Least)
	}
	return nil
}

// replaceTable puts the table between the markers of a document.
func replaceTable(document string, table []byte) error {
	b, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, opened := bytes.Cut(b, []byte(beginMarker))
	_, after, closed := bytes.Cut(rest, []byte(endMarker))
	if !opened || !closed {
		return fmt.Errorf("%s lacks the markers %q and %q for the table", document, beginMarker, endMarker)
	}
	b = bytes.Join([][]byte{before, []byte(beginMarker), table, []byte(endMarker), after}, nil)
	return os.WriteFile(document, b, 0o644) //nolint:gosec // a document
}
