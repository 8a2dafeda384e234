// Package doctor checks everything that a chowk server depends on, and reports what
// is wrong and how to fix it. It changes nothing, and needs no running server.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Status is the severity of a finding.
type Status string

// The statuses, from good to bad. Unknown means that the check was not possible; it
// does not count as a problem.
const (
	Fine    Status = "fine"
	Unknown Status = "unknown"
	Warning Status = "warning"
	Failure Status = "failure"
)

// Finding is the result of one check. Advice says how to fix a problem.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Subject describes what to check.
type Subject struct {
	DatabaseURL string
	// Nodes is the number of nodes that share the database, and PoolMax the number of
	// connections that each may open.
	Nodes, PoolMax int
	// DataPath is on the file system that fills up.
	DataPath string
	// SocketsWanted is the number of sockets that the server should hold, 0 for as
	// many as possible.
	SocketsWanted     int
	Machine           Machine
	CertFile, KeyFile string
	Heartbeat         time.Duration
	// OpsURL is the operations listener of a running server, "" for none.
	OpsURL string
	Probe  Probe
	Relay  Relay
	// ConfigWarnings are findings about settings that are allowed but unwise.
	ConfigWarnings []Finding
	Now            func() time.Time
}

// Report holds all findings. Status is the worst of them.
type Report struct {
	Status   Status    `json:"status"`
	Findings []Finding `json:"findings"`
}

// Examine runs every check.
func Examine(ctx context.Context, s Subject) Report {
	if s.Now == nil {
		s.Now = time.Now
	}
	var r Report
	for _, check := range []func(context.Context, Subject) []Finding{
		checkDatabase, checkMachine, checkDisk, checkCertificate, checkServer, checkProxy,
		func(context.Context, Subject) []Finding { return s.ConfigWarnings },
	} {
		r.Findings = append(r.Findings, check(ctx, s)...)
	}
	r.Status = Fine
	for _, f := range r.Findings {
		if f.Status == Failure || f.Status == Warning && r.Status == Fine {
			r.Status = f.Status
		}
	}
	return r
}

// ExitCode returns 0 without problems, 1 with warnings, 2 with failures.
func (r Report) ExitCode() int {
	return map[Status]int{Warning: 1, Failure: 2}[r.Status]
}

// JSON writes the report for programs.
func (r Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

var statusLabels = map[Status]string{Fine: "ok  ", Unknown: "?   ", Warning: "WARN", Failure: "FAIL"}

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
	var b strings.Builder
	counts := make(map[Status]int)
	for _, f := range r.Findings {
		counts[f.Status]++
		fmt.Fprintf(&b, "%s  %-14s %s\n", statusLabels[f.Status], f.Check, f.Found)
		if f.Advice != "" {
			fmt.Fprintf(&b, "      %-14s -> %s\n", "", f.Advice)
		}
	}
	fmt.Fprintf(&b, "\n%d ok, %d unknown, %s, %s\n",
		counts[Fine], counts[Unknown], plural(counts[Warning], "warning"), plural(counts[Failure], "failure"))
	_, err := io.WriteString(w, b.String())
	return err
}

// plural returns the count with its noun: "1 warning", "2 warnings".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func fine(check, format string, a ...any) Finding {
	return Finding{Check: check, Status: Fine, Found: fmt.Sprintf(format, a...)}
}

func short(d time.Duration) time.Duration {
	switch {
	case d < 10*time.Millisecond && d > -10*time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d < 10*time.Second && d > -10*time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
