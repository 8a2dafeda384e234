package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chowk-chat/chowk/bench/internal/steps"
)

// figure is one number that a benchmark program reports.
type figure struct {
	step, name, unit string
	value            float64
	noisy            bool // other processes used more than a fifth of a CPU
}

// programReport is what bench/db, bench/ops or bench/sockets write as JSON. Fields
// only grow, so that this reads the reports of all commits.
type programReport struct {
	// Measurements are those of bench/db.
	Measurements []struct {
		Step        string  `json:"step"`
		Way         string  `json:"way"`
		PerSecond   float64 `json:"per_second"`
		P50         float64 `json:"p50_ms"`
		P99         float64 `json:"p99_ms"`
		OwnCPU      float64 `json:"own_cpu_per_million"`
		PostgresCPU float64 `json:"postgres_cpu_per_million"`
		Foreign     float64 `json:"foreign_percent"`
	} `json:"measurements"`
	// Results are those of bench/ops (by step) or of bench/sockets (by scenario).
	Results []struct {
		Step     string  `json:"step"`
		Foreign  float64 `json:"foreign_percent"`
		Figures  []named `json:"figures"`
		Scenario string  `json:"scenario"`
		Server   string  `json:"server"`
		Values   []named `json:"values"`
	} `json:"results"`
}

type named struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// readFigures reads a program's report.
func readFigures(text []byte) (all []figure, err error) {
	var r programReport
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the report of a benchmark: %w", err)
	}
	for _, m := range r.Measurements {
		noisy := steps.Noisy(m.Foreign)
		for _, f := range []named{
			{"throughput", m.PerSecond, "/s"},
			{"latency p50", m.P50, "ms"},
			{"latency p99", m.P99, "ms"},
			{"CPU of chowk", m.OwnCPU, "s/million"},
			{"CPU of PostgreSQL", m.PostgresCPU, "s/million"},
		} {
			if f.Value != 0 { // SQLite has no process of its own
				all = append(all, figure{m.Step, m.Way + ": " + f.Name, f.Unit, f.Value, noisy})
			}
		}
	}
	for _, r := range r.Results {
		for _, f := range r.Figures {
			all = append(all, figure{r.Step, f.Name, f.Unit, f.Value, steps.Noisy(r.Foreign)})
		}
		for _, f := range r.Values {
			all = append(all, figure{r.Scenario, r.Server + ": " + f.Name, f.Unit, f.Value, false})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the report of a benchmark has no figures")
	}
	return all, nil
}

// pair is a figure of both sides.
type pair struct{ base, head figure }

// match pairs the figures of both sides: by step and name, else by their position in
// the step if both sides have as many figures with the same units there, since names
// are text that changes.
func match(base, head []figure) (pairs []pair) {
	for _, step := range stepsOf(head) {
		b, h := inStep(base, step), inStep(head, step)
		byPosition := sameUnits(b, h)
		for i, f := range h {
			if j := find(b, f); j >= 0 {
				pairs = append(pairs, pair{b[j], f})
			} else if byPosition && find(h, b[i]) < 0 {
				pairs = append(pairs, pair{b[i], f})
			}
		}
	}
	return pairs
}

func stepsOf(figures []figure) (steps []string) {
	seen := make(map[string]bool)
	for _, f := range figures {
		if !seen[f.step] {
			seen[f.step] = true
			steps = append(steps, f.step)
		}
	}
	return steps
}

func inStep(figures []figure, step string) (some []figure) {
	for _, f := range figures {
		if f.step == step {
			some = append(some, f)
		}
	}
	return some
}

// find returns where a figure of the same name is, -1 if there is none.
func find(figures []figure, f figure) int {
	for i, g := range figures {
		if g.name == f.name && g.unit == f.unit {
			return i
		}
	}
	return -1
}

func sameUnits(a, b []figure) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].unit != b[i].unit {
			return false
		}
	}
	return true
}
