package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/chowk-chat/chowk/internal/bench/report"
)

// comparison is the result of all rounds.
type comparison struct {
	Base    *side  `json:"base"`
	Head    *side  `json:"head"`
	Machine string `json:"machine"`
	Rounds  int    `json:"rounds"`
	Rows    []*row `json:"figures"`
}

// row is one figure in all rounds: Base and Head have a value for each.
type row struct {
	Program string    `json:"program"`
	Step    string    `json:"step"`
	Name    string    `json:"name"`
	Unit    string    `json:"unit,omitempty"`
	Base    []float64 `json:"base"`
	Head    []float64 `json:"head"`
	// Ratio is head divided by base, round by round; nil if no round has one.
	Ratio *spread `json:"ratio,omitempty"`
	// Noisy means that other processes used more than a fifth of a CPU in a round.
	Noisy bool `json:"noisy,omitempty"`
}

// spread is the distribution of the ratios of the rounds.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// add adds a round of a program.
func (c *comparison) add(program string, pairs []pair) {
	for _, p := range pairs {
		r := c.row(program, p.head)
		r.Base, r.Head = append(r.Base, p.base.value), append(r.Head, p.head.value)
		r.Noisy = r.Noisy || p.base.noisy || p.head.noisy
		r.Ratio = ratios(r.Base, r.Head)
	}
}

func (c *comparison) row(program string, f figure) *row {
	for _, r := range c.Rows {
		if r.Program == program && r.Step == f.step && r.Name == f.name && r.Unit == f.unit {
			return r
		}
	}
	r := &row{Program: program, Step: f.step, Name: f.name, Unit: f.unit}
	c.Rows = append(c.Rows, r)
	return r
}

// ratios returns the spread of head divided by base. Rounds in which either is not a
// positive number have no ratio.
func ratios(base, head []float64) *spread {
	var all []float64
	for i := range base {
		if base[i] > 0 && head[i] > 0 && !math.IsInf(head[i]/base[i], 0) {
			all = append(all, head[i]/base[i])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &spread{Median: median(all), Min: slices.Min(all), Max: slices.Max(all)}
}

// median returns the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Table writes the comparison for people.
func (c *comparison) Table(w io.Writer) error {
	fmt.Fprintf(w, "\nbase %s (%.10s), head %s (%s); %s; %d rounds\n\n", c.Base.Name, c.Base.Commit, c.Head.Name,
		c.Head.version(), c.Machine, c.Rounds)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "base\thead\tunit\thead/base\tmin\tmax\t  figure")
	for _, r := range c.Rows {
		ratio := "-\t-\t-"
		if s := r.Ratio; s != nil {
			ratio = fmt.Sprintf("%.3f\t%.3f\t%.3f", s.Median, s.Min, s.Max)
		}
		noisy := ""
		if r.Noisy {
			noisy = " #noisy"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t  %s:%s %s%s\n", short(median(r.Base)), short(median(r.Head)), r.Unit, ratio,
			r.Program, r.Step, r.Name, noisy)
	}
	return t.Flush()
}

// short formats a number with about four digits.
func short(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

func (s *side) version() string {
	if s.Changed {
		return fmt.Sprintf("%.10s with changes", s.Commit)
	}
	return fmt.Sprintf("%.10s", s.Commit)
}

func (c *comparison) write(path string) error { return report.WriteFiles(c, path, "", nil) }
