// Command table makes the table of faults of what their runs found: on standard
// output, or with -into between the two markers of a document. It fails when a
// promise was broken, or when fewer messages were acknowledged than -least.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/chowk-chat/chowk/test/faults"
)

const (
	begin = "<!-- faults: begin -->\n"
	end   = "<!-- faults: end -->\n"
)

func main() {
	into := flag.String("into", "", "the document")
	least := flag.Int("least", 0, "messages that must have been acknowledged")
	flag.Parse()
	if err := run(flag.Arg(0), *into, *least); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file, into string, least int) error {
	results, err := faults.Read(file)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return fmt.Errorf("%q holds no results; make test-faults writes them", file)
	}
	var table bytes.Buffer
	kept, err := faults.Table(&table, results)
	if err != nil {
		return err
	}
	if into == "" {
		_, err = os.Stdout.Write(table.Bytes())
	} else {
		err = replace(into, table.Bytes())
	}
	messages := 0
	for _, r := range results {
		messages += r.Messages
	}
	switch {
	case err != nil:
		return err
	case !kept:
		return errors.New("a promise was broken")
	case messages < least:
		return fmt.Errorf("%d messages were acknowledged, fewer than %d", messages, least)
	}
	return nil
}

// replace puts the table between the markers of a document.
func replace(document string, table []byte) error {
	b, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, opened := bytes.Cut(b, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !opened || !closed {
		return fmt.Errorf("%s has no place for the table, between %q and %q", document, begin, end)
	}
	b = bytes.Join([][]byte{before, []byte(begin), table, []byte(end), after}, nil)
	return os.WriteFile(document, b, 0o644) //nolint:gosec // a document
}
