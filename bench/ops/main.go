//go:build !windows

// Command benchops measures a server in operation: a restart under load, a database
// that stalls, reconnect storms, the cost of metrics, and a client that ignores
// refusals. It starts the server's own binary and a PostgreSQL, and verifies after each
// step that what was acknowledged is stored once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/steps"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// config is the command line.
type config struct {
	steps.Flags
	binary  string
	sockets int
	storm   int
	rate    float64
	senders int
	window  time.Duration
	stall   time.Duration
	rounds  int
}

func main() {
	if len(os.Args) == 3 {
		switch os.Args[1] {
		case innerServer:
			serveInner(os.Args[2])
			return
		case flooder:
			serveFlood(os.Args[2])
			return
		}
	}
	c := config{Flags: steps.Register()}
	flag.StringVar(&c.binary, "binary", "", "measure this `file` instead of building cmd/chowk")
	flag.IntVar(&c.sockets, "sockets", 10_000, "sockets that are open while the server restarts")
	flag.Float64Var(&c.rate, "rate", 500, "messages per second while the server restarts")
	flag.DurationVar(&c.window, "window", 5*time.Second, "drain.window of the server that restarts")
	flag.IntVar(&c.storm, "storm", 15_000, "sockets of a storm")
	flag.IntVar(&c.senders, "senders", 1000, "sockets that send while the database stalls")
	flag.DurationVar(&c.stall, "stall", 8*time.Second, "how long the database stalls")
	flag.IntVar(&c.rounds, "rounds", 20, "pairs of rounds, with and without metrics")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchops:", err)
		os.Exit(1)
	}
}

// all lists the steps. Each has a result of its own.
var all = []steps.Step[*bench]{
	step("storm", "thousands of sockets come back at one moment, and again immediately afterwards", (*bench).storms),
	step("restart/postgres", "the server is replaced under load", restartOn("postgres")),
	step("restart/sqlite", "the server is replaced under load", restartOn("sqlite")),
	step("stall", "the database stalls at 80% of the full load", (*bench).stalled),
	step("metrics", "CPU time of a command with and without metrics", (*bench).metrics),
	step("fairness", "one user sends as fast as possible and ignores every refusal", (*bench).fairness),
}

func restartOn(kind string) func(*bench, context.Context, *result) error {
	return func(b *bench, ctx context.Context, r *result) error { return b.restart(ctx, r, kind) }
}

func step(name, about string, do func(*bench, context.Context, *result) error) steps.Step[*bench] {
	return steps.Step[*bench]{Name: name, About: about, Do: func(ctx context.Context, b *bench) error {
		fmt.Printf("\n%s: %s\n", name, about)
		r := &result{Step: name}
		b.report.Results = append(b.report.Results, r)
		if err := do(b, ctx, r); err != nil {
			return err
		}
		fmt.Printf("  %-66s %12.3g %% of a CPU%s\n", "used by other processes", r.Foreign,
			map[bool]string{true: " #noisy"}[r.noisy()])
		return nil
	}}
}

// output is printed, and written as JSON.
type output struct {
	Conditions string    `json:"conditions"`
	Results    []*result `json:"results"`
}

// result is the result of one step.
type result struct {
	Step    string   `json:"step"`
	Figures []figure `json:"figures"`
	Marks   []mark   `json:"marks"`
	// Foreign is the CPU usage of other processes, in percent of one CPU.
	Foreign float64 `json:"foreign_percent"`
	Points  []point `json:"points,omitempty"`
}

// figure is one number.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// mark is a figure and its upper limit.
type mark struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Most  float64 `json:"at_most"`
	Met   bool    `json:"met"`
}

// point is one moment of a step.
type point struct {
	At     float64            `json:"at_s"`
	Values map[string]float64 `json:"values"`
}

func (r *result) figure(name string, value float64, unit string) {
	r.Figures = append(r.Figures, figure{name, value, unit})
	fmt.Printf("  %-66s %12.6g %s\n", name, value, unit)
}

func (r *result) mark(name string, value, most float64) {
	r.Marks = append(r.Marks, mark{name, value, most, value <= most})
}

// bench is one run of the program.
type bench struct {
	config
	dir    string
	pg     *pgtest.Server
	count  int
	report output
}

// postgresSettings are the conditions of all steps. Everything else is PostgreSQL's
// default, in particular fsync=on and synchronous_commit=on.
var postgresSettings = []string{"shared_buffers=1GB", "max_wal_size=4GB"}

func measure(ctx context.Context, c config) (err error) {
	selected, err := steps.Select(c.Flags, all)
	if err != nil || len(selected) == 0 {
		return err
	}
	b := &bench{config: c}
	if b.dir, err = os.MkdirTemp("", "chowk-benchops-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.binary == "" {
		b.binary = filepath.Join(b.dir, "chowk")
		if err := testkit.Build(b.binary, "-trimpath"); err != nil {
			return err
		}
	}
	if b.pg, err = pgtest.New(postgresSettings...); err != nil {
		return err
	}
	defer b.pg.Remove()
	b.report.Conditions = steps.Conditions("clients, server and database", postgresSettings)
	fmt.Println(b.report.Conditions)
	for _, s := range selected {
		if err := s.Do(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	b.printMarks()
	return c.Write(b.report)
}

// noisy reports whether other processes used more than a fifth of a CPU.
func (r *result) noisy() bool { return steps.Noisy(r.Foreign) }

func (b *bench) printMarks() {
	fmt.Printf("\n%-80s %10s  %10s\n", "mark", "measured", "at most")
	for _, r := range b.report.Results {
		for _, m := range r.Marks {
			fmt.Printf("%-80s %10.4g  %10.4g %s\n", r.Step+": "+m.Name, m.Value, m.Most, steps.Verdict(m.Met, r.noisy()))
		}
	}
}
