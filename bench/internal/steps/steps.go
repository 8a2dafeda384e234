// Package steps is the command line that bench/db and bench/ops share: a list of steps
// that can be selected by name, and results that are printed and written as JSON.
package steps

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// Flags are the flags of every benchmark program.
type Flags struct {
	run  *string
	json *string
	list *bool
}

// Register adds the flags to the command line.
func Register() Flags {
	return Flags{
		run:  flag.String("run", ".", "run the steps whose name matches this `expression`"),
		json: flag.String("json", "", "write the results to this `file`"),
		list: flag.Bool("list", false, "list the steps"),
	}
}

// Step can be run by itself. B is the state of a run.
type Step[B any] struct {
	Name, About string
	Do          func(context.Context, B) error
}

// Select returns the selected steps. With -list it prints all of them and returns none.
func Select[B any](f Flags, all []Step[B]) (selected []Step[B], err error) {
	expression, err := regexp.Compile(*f.run)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	for _, s := range all {
		if *f.list {
			fmt.Printf("%-24s %s\n", s.Name, s.About)
		} else if expression.MatchString(s.Name) {
			selected = append(selected, s)
		}
	}
	if len(selected) == 0 && !*f.list {
		return nil, errors.New("-run: no step has such a name; -list lists the steps")
	}
	return selected, nil
}

// Write writes the results to the file of -json.
func (f Flags) Write(results any) error { return report.WriteFiles(results, *f.json, "", nil) }

// Conditions describes where a benchmark ran; clients are the processes that share the
// machine.
func Conditions(clients string, postgresSettings []string) string {
	return fmt.Sprintf("%s, %d CPUs shared by %s; %s; PostgreSQL: fsync=on, %s; SQLite: WAL, synchronous=FULL",
		runtime.Version(), runtime.NumCPU(), clients, time.Now().Format(time.DateOnly), strings.Join(postgresSettings, ", "))
}

// maxForeign is how much other processes may use, in percent of one CPU.
const maxForeign = 20

// Noisy reports whether other processes used too much CPU for a trustworthy figure.
func Noisy(foreignPercent float64) bool { return foreignPercent > maxForeign }

// Verdict returns what is printed for a figure with a target.
func Verdict(met, noisy bool) string {
	verdict := "met"
	if !met {
		verdict = "MISSED"
	}
	if noisy {
		verdict += ", noisy"
	}
	return verdict
}
