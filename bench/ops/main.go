//go:build !windows

// Command benchops measures a server in operation: a restart under load, a database
// that stalls, reconnect storms, the cost of metrics, and a client that ignores
// refusals. It starts the server's own binary and a PostgreSQL, and verifies after each
// step that what was acknowledged is stored once.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// config is the command line.
type config struct {
	run     *regexp.Regexp
	json    string
	binary  string
	list    bool
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
	var c config
	run := flag.String("run", ".", "run the steps whose name matches this `expression`")
	flag.StringVar(&c.json, "json", "", "write the results to this `file`")
	flag.StringVar(&c.binary, "binary", "", "measure this `file` instead of building cmd/chowk")
	flag.BoolVar(&c.list, "list", false, "list the steps")
	flag.IntVar(&c.sockets, "sockets", 10_000, "sockets that are open while the server restarts")
	flag.Float64Var(&c.rate, "rate", 500, "messages per second while the server restarts")
	flag.DurationVar(&c.window, "window", 5*time.Second, "drain.window of the server that restarts")
	flag.IntVar(&c.storm, "storm", 15_000, "sockets of a storm")
	flag.IntVar(&c.senders, "senders", 1000, "sockets that send while the database stalls")
	flag.DurationVar(&c.stall, "stall", 8*time.Second, "how long the database stalls")
	flag.IntVar(&c.rounds, "rounds", 20, "pairs of rounds, with and without metrics")
	flag.Parse()
	var err error
	if c.run, err = regexp.Compile(*run); err != nil {
		fmt.Fprintln(os.Stderr, "-run:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = measure(ctx, c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchops:", err)
		os.Exit(1)
	}
}

// step can be run by itself.
type step struct {
	name, about string
	do          func(*bench, context.Context, *result) error
}

var steps = []step{
	{"storm", "thousands of sockets come back at one moment, and again immediately afterwards", (*bench).storms},
	{
		"restart/postgres", "the server is replaced under load",
		func(b *bench, ctx context.Context, r *result) error { return b.restart(ctx, r, "postgres") },
	},
	{
		"restart/sqlite", "the server is replaced under load",
		func(b *bench, ctx context.Context, r *result) error { return b.restart(ctx, r, "sqlite") },
	},
	{"stall", "the database stalls at 80% of the full load", (*bench).stalled},
	{"metrics", "CPU time of a command with and without metrics", (*bench).metrics},
	{"fairness", "one user sends as fast as possible and ignores every refusal", (*bench).fairness},
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
	if c.list {
		for _, s := range steps {
			fmt.Printf("%-24s %s\n", s.name, s.about)
		}
		return nil
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
	b.report.Conditions = fmt.Sprintf(
		"%s, %d CPUs shared by clients, server and database; %s; PostgreSQL: fsync=on, %s; SQLite: WAL, synchronous=FULL",
		runtime.Version(), runtime.NumCPU(), time.Now().Format(time.DateOnly), strings.Join(postgresSettings, ", "))
	fmt.Println(b.report.Conditions)
	ran := 0
	for _, s := range steps {
		if !c.run.MatchString(s.name) {
			continue
		}
		ran++
		if err := b.step(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if ran == 0 {
		return errors.New("-run: no step has such a name; -list lists the steps")
	}
	b.printMarks()
	return b.write()
}

func (b *bench) step(ctx context.Context, s step) error {
	fmt.Printf("\n%s: %s\n", s.name, s.about)
	r := &result{Step: s.name}
	b.report.Results = append(b.report.Results, r)
	if err := s.do(b, ctx, r); err != nil {
		return err
	}
	fmt.Printf("  %-66s %12.3g %% of a CPU%s\n", "used by other processes", r.Foreign,
		map[bool]string{true: " #noisy"}[r.noisy()])
	return nil
}

// noisy reports whether other processes used more than a fifth of a CPU.
func (r *result) noisy() bool { return r.Foreign > 20 }

func (b *bench) printMarks() {
	fmt.Printf("\n%-80s %10s  %10s\n", "mark", "measured", "at most")
	for _, r := range b.report.Results {
		for _, m := range r.Marks {
			verdict := "met"
			if !m.Met {
				verdict = "MISSED"
			}
			if r.noisy() {
				verdict += ", noisy"
			}
			fmt.Printf("%-80s %10.4g  %10.4g %s\n", r.Step+": "+m.Name, m.Value, m.Most, verdict)
		}
	}
}

func (b *bench) write() error {
	if b.json == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(b.json, append(text, '\n'), 0o644) //nolint:gosec // a report
}
