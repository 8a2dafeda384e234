// Package doctor looks at everything that a chowk stands on and says what is wrong
// with it, and what to do. It changes nothing, and needs no running server.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Status says how bad a finding is.
type Status string

// From good to bad. Unknown is what could not be looked at, which is not bad.
const (
	Fine    Status = "fine"
	Unknown Status = "unknown"
	Warning Status = "warning"
	Failure Status = "failure"
)

// Finding is what one check found. Advice says what to do when it is not fine.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"`
}

// Subject is what is looked at.
type Subject struct {
	DatabaseURL string
	// Nodes is how many chowks share the database, and PoolMost how many
	// connections each may open.
	Nodes, PoolMost int
	// DataPath is on the file system that fills up.
	DataPath string
	// SocketsWanted is how many sockets are to be held, 0 for as many as there can
	// be.
	SocketsWanted     int
	Machine           Machine
	CertFile, KeyFile string
	Heartbeat         time.Duration
	// OpsURL is where a running server answers operations, "" for nowhere.
	OpsURL string
	Probe  Probe
	Relay  Relay
	// Smells are settings that are allowed and unwise, each with what to do.
	Smells []Finding
	Now    func() time.Time
}

// Report is everything that was found.
type Report struct {
	Status   Status    `json:"status"`
	Findings []Finding `json:"findings"`
}

// Examine looks at everything.
func Examine(ctx context.Context, s Subject) Report {
	if s.Now == nil {
		s.Now = time.Now
	}
	var r Report
	for _, look := range []func(context.Context, Subject) []Finding{
		lookAtDatabase, lookAtMachine, lookAtDisk, lookAtCertificate, lookAtServer, lookThroughProxy,
		func(context.Context, Subject) []Finding { return s.Smells },
	} {
		r.Findings = append(r.Findings, look(ctx, s)...)
	}
	r.Status = Fine
	for _, f := range r.Findings {
		if f.Status == Failure || f.Status == Warning && r.Status == Fine {
			r.Status = f.Status
		}
	}
	return r
}

// ExitCode is 0 when all is fine, 1 with warnings, 2 with failures.
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
	fmt.Fprintf(&b, "\n%d fine, %d unknown, %d warnings, %d failures\n", counts[Fine], counts[Unknown], counts[Warning], counts[Failure])
	_, err := io.WriteString(w, b.String())
	return err
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
