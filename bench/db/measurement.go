//go:build !windows

package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/steps"
)

// measurement is the result of one way of writing.
type measurement struct {
	Step      string  `json:"step"`
	Way       string  `json:"way"`
	Senders   int     `json:"senders"`
	Channels  int     `json:"channels"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	// Late is the p99 of how late the senders themselves began messages, Ack the p99 of
	// the time from then on; P99 counts from when a message was due.
	Ack  float64 `json:"ack_p99_ms,omitempty"`
	Late float64 `json:"late_p99_ms,omitempty"`
	// CPU seconds per million messages.
	OwnCPU      float64 `json:"own_cpu_per_million"`
	PostgresCPU float64 `json:"postgres_cpu_per_million"`
	// Foreign is the CPU usage of other processes, in percent of one CPU.
	Foreign float64 `json:"foreign_percent"`
	Stored  int64   `json:"stored"` // verified against the acks
	Note    string  `json:"note,omitempty"`
}

const header = "step                      way                          senders channels       /s" +
	"    p50 ms    p99 ms  CPU s/M: own  postgres  foreign %"

func (m measurement) line() string {
	mark := ""
	if m.noisy() {
		mark = " #noisy"
	}
	return fmt.Sprintf("%-25s %-28s %7d %8d %8.0f %9.2f %9.2f %13.1f %9.1f %10.0f%s %s",
		m.Step, m.Way, m.Senders, m.Channels, m.PerSecond, m.P50, m.P99, m.OwnCPU, m.PostgresCPU, m.Foreign, mark, m.Note)
}

// noisy reports whether other processes used more than a fifth of a CPU.
func (m measurement) noisy() bool { return steps.Noisy(m.Foreign) }

// take computes a measurement from what was counted between two moments.
func take(step, way string, acks int, waits []time.Duration, before, after usage) measurement {
	m := measurement{Step: step, Way: way}
	used := after.since(before)
	took := after.at.Sub(before.at).Seconds()
	m.PerSecond = float64(acks) / took
	if acks > 0 {
		m.OwnCPU, m.PostgresCPU = used.own/float64(acks)*1e6, used.postgres/float64(acks)*1e6
	}
	if used.machine > 0 {
		m.Foreign = max(0, used.machine-used.own-used.postgres) / took * 100
	}
	slices.Sort(waits)
	if n := len(waits); n > 0 {
		m.P50, m.P99 = ms(waits[n/2]), ms(waits[n*99/100])
	}
	return m
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
