// Command chowk-lab is the laboratory: what shows and proves how chowk behaves but
// is not part of the product. Run it from a checkout: go run ./cmd/chowk-lab --help
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(invocation{args: os.Args[1:], out: os.Stdout, err: os.Stderr}.run(ctx))
}

// invocation is one call of chowk-lab, with everything it reads and writes.
type invocation struct {
	args     []string
	out, err io.Writer
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // the command line is wrong
)

const about = `The laboratory of chowk: experiments and proofs that are not part of the product.
Run it from a checkout of chowk, with Go and PostgreSQL installed.`

// commands lists the experiments, in the order of the help text.
type commands struct {
	Incident     incidentCmd     `cmd:"" help:"Replay the incident that led to chowk, three ways, on this machine."`
	Check        checkCmd        `cmd:"" help:"Check the history of a fault run against the guarantees."`
	Faults       faultsTableCmd  `cmd:"" name:"faults-table" help:"Turn the results of fault runs into a table."`
	WithPostgres withPostgresCmd `cmd:"" help:"Run a command with a PostgreSQL server of its own."`
}

func (c invocation) run(ctx context.Context) int {
	if len(c.args) == 0 {
		c.args = []string{"--help"}
	}
	var cmds commands
	exited := -1
	k, err := kong.New(&cmds,
		kong.Name("chowk-lab"), kong.Description(about), texts, kong.Writers(c.out, c.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(code int) { exited = code }),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(c))
	if err != nil {
		return c.fail(exitFailed, err)
	}
	parsed, err := k.Parse(c.args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		return c.fail(exitUsage, fmt.Errorf("%w\nTry `chowk-lab --help`", err))
	}
	err = parsed.Run()
	var ended exitError
	switch {
	case errors.As(err, &ended):
		return int(ended)
	case err != nil && !errors.Is(err, context.Canceled):
		return c.fail(exitFailed, err)
	}
	return exitOK
}

// exitError is the exit code of a command that has printed its own errors.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func (c invocation) fail(code int, err error) int {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(c.err, "chowk-lab: "+line)
	}
	return code
}
