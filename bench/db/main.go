//go:build !windows

// Command benchdb measures writes to both databases, with fsync on: messages through
// the journal, compared with a transaction per event and with the database's own
// maximum. Ratios come from a single run. After every measurement it verifies that
// exactly what was acknowledged is stored.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"strings"

	"github.com/chowk-chat/chowk/bench/internal/steps"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// config is the command line.
type config struct {
	steps.Flags
	seconds float64
}

func main() {
	c := config{Flags: steps.Register()}
	flag.Float64Var(&c.seconds, "seconds", 4, "how long each way is measured, after a quarter of that to warm up")
	profile := flag.String("cpuprofile", "", "write a profile of chowk's and the senders' CPU time to this `file`")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "-cpuprofile:", err)
			os.Exit(2)
		}
	}
	if _, given := os.LookupEnv("GOGC"); !given {
		defer runtime.KeepAlive(make([]byte, 16<<20)) // as the server does
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx, c)
	stop()
	pprof.StopCPUProfile()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchdb:", err)
		os.Exit(1)
	}
}

// postgresSettings are the conditions of all measurements. Everything else is
// PostgreSQL's default, in particular fsync=on and synchronous_commit=on.
var postgresSettings = []string{"shared_buffers=1GB", "max_wal_size=4GB", "min_wal_size=2GB"}

// report is printed, and written as JSON.
type report struct {
	Conditions   string        `json:"conditions"`
	Measurements []measurement `json:"measurements"`
	Marks        []mark        `json:"marks"`
}

// mark is a figure and its target.
type mark struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Want  string  `json:"want"`
	Met   bool    `json:"met"`
	Noisy bool    `json:"noisy"`
}

// bench is one run of the program.
type bench struct {
	config
	dir    string
	pg     *pgtest.Server
	count  int
	last   string // PostgreSQL's database of the last measurement
	report report
}

func measure(ctx context.Context, c config) (err error) {
	selected, err := steps.Select(c.Flags, all)
	if err != nil || len(selected) == 0 {
		return err
	}
	b := &bench{config: c}
	if b.dir, err = os.MkdirTemp("", "chowk-benchdb-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.report.Conditions = steps.Conditions("senders, chowk and database", postgresSettings)
	fmt.Println(b.report.Conditions)
	fmt.Println(header)
	for _, s := range selected {
		if strings.HasPrefix(s.Name, "postgres") && b.pg == nil {
			if b.pg, err = pgtest.New(postgresSettings...); err != nil {
				return err
			}
			defer b.pg.Remove()
			if err := b.age(); err != nil {
				return err
			}
		}
		if err := s.Do(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	b.printMarks()
	return c.Write(b.report)
}

func (b *bench) add(m measurement) measurement {
	b.report.Measurements = append(b.report.Measurements, m)
	fmt.Println(m.line())
	return m
}

// mark records a figure; it is noisy if one of its measurements was.
func (b *bench) mark(name string, value float64, atLeast bool, bound float64, from ...measurement) {
	m := mark{Name: name, Value: value, Want: fmt.Sprintf("at most %g", bound), Met: value <= bound}
	if atLeast {
		m.Want, m.Met = fmt.Sprintf("at least %g", bound), value >= bound
	}
	for _, f := range from {
		m.Noisy = m.Noisy || f.noisy()
	}
	b.report.Marks = append(b.report.Marks, m)
}

func (b *bench) printMarks() {
	fmt.Printf("\n%-70s %9s  %-14s\n", "mark", "measured", "wanted")
	for _, m := range b.report.Marks {
		fmt.Printf("%-70s %9.2f  %-14s %s\n", m.Name, m.Value, m.Want, steps.Verdict(m.Met, m.Noisy))
	}
}
