// Command compare runs benchmark steps of two commits by turns, and prints how the
// working tree compares with the base:
//
//	go run ./bench/compare -base main -steps 'db:hot-channel,sockets:echo'
//
// The base is built in a temporary git worktree, from its own sources, so that each
// side measures itself. Both run on this machine; every round yields one ratio for
// each figure, and rounds alternate which side goes first, so that a machine that
// becomes slower or faster favors neither.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// defaultSteps take about five minutes with three rounds.
const defaultSteps = "db:1000-channels,db:hot-channel"

// config is the command line.
type config struct {
	base   string
	steps  []selection
	rounds int
	json   string
	args   map[string][]string // of the programs, by name
}

// selection is one element of -steps: a program and an expression that selects its
// steps.
type selection struct{ program, expression string }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	m, err := measure(ctx, c)
	if err != nil {
		return err
	}
	if err := m.Table(os.Stdout); err != nil {
		return err
	}
	return m.write(c.json)
}

func parse(args []string) (config, error) {
	c := config{args: make(map[string][]string)}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.StringVar(&c.base, "base", "", "compare with this `commit`")
	steps := flags.String("steps", defaultSteps,
		"steps to run: `PROGRAM:EXPRESSION,...`; the program is db, ops or sockets, the expression selects its steps by name")
	flags.IntVar(&c.rounds, "rounds", 3, "run each step this many times on each side")
	flags.StringVar(&c.json, "json", "", "write the results to this `file`")
	programArgs := make(map[string]*string)
	for _, p := range programs {
		programArgs[p.name] = flags.String(p.name+"-args", p.args, "further `arguments` of bench/"+p.name)
	}
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if c.base == "" {
		return c, errors.New("name the commit to compare with: -base REF")
	}
	if c.rounds < 1 {
		return c, fmt.Errorf("-rounds must be at least 1, not %d", c.rounds)
	}
	for name, text := range programArgs {
		c.args[name] = strings.Fields(*text)
	}
	var err error
	c.steps, err = parseSteps(*steps)
	return c, err
}

func parseSteps(text string) (all []selection, err error) {
	for part := range strings.SplitSeq(text, ",") {
		name, expression, found := strings.Cut(strings.TrimSpace(part), ":")
		if !found || expression == "" || programNamed(name) == nil {
			return nil, fmt.Errorf("-steps: %q must be PROGRAM:EXPRESSION with one of the programs db, ops and sockets", part)
		}
		all = append(all, selection{name, expression})
	}
	return all, nil
}
