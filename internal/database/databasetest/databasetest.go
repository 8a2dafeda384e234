// Package databasetest records what a database reports to its observer and its log, and
// checks that it reports nothing while it holds a connection.
package databasetest

import (
	"bytes"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/metric"
)

// Patience bounds what tests wait for.
const Patience = 30 * time.Second

// Holding reports whether the calling goroutine holds a connection.
func Holding() bool { return metric.HoldsConnection() }

// Eventually waits until ok returns true, and returns how long that took.
func Eventually(t testing.TB, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > Patience {
			t.Fatalf("%s: not within %v", what, Patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(start)
}

// Recorder is an observer that records everything.
type Recorder struct {
	mu        sync.Mutex // guards what follows
	executed  []string
	acquired  map[string]int
	refused   map[string]int
	heldLong  map[string]int
	cancelled map[string]int
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder {
	return &Recorder{
		acquired: map[string]int{}, refused: map[string]int{}, heldLong: map[string]int{}, cancelled: map[string]int{},
	}
}

func (r *Recorder) count(m map[string]int, key string) {
	if Holding() {
		panic("a connection is held while its unit of work is reported")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m[key]++
}

// Acquired counts by unit.
func (r *Recorder) Acquired(unit string, _, _ time.Duration) { r.count(r.acquired, unit) }

// Refused counts by reason.
func (r *Recorder) Refused(_, why string) { r.count(r.refused, why) }

// HeldLong counts by unit.
func (r *Recorder) HeldLong(unit string) { r.count(r.heldLong, unit) }

// Cancelled counts by unit.
func (r *Recorder) Cancelled(unit string) { r.count(r.cancelled, unit) }

// Executed records the statements.
func (r *Recorder) Executed(_ string, statements []string, _ time.Duration, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed = append(r.executed, statements...)
}

// Counts are what a Recorder has counted.
type Counts struct {
	Acquired  map[string]int // by unit
	Refused   map[string]int // by reason
	HeldLong  map[string]int // by unit
	Cancelled map[string]int // by unit
}

// Counts returns what has been counted.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{maps.Clone(r.acquired), maps.Clone(r.refused), maps.Clone(r.heldLong), maps.Clone(r.cancelled)}
}

// Statements returns how many statements were executed, in total and by name, without
// those that begin and end transactions.
func (r *Recorder) Statements() (n int, byName map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byName = make(map[string]int)
	for _, s := range r.executed {
		if s != "begin" && s != "commit" {
			n++
			byName[s]++
		}
	}
	return n, byName
}

// Reset forgets the statements.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.executed = nil
}

// Log records what is logged.
type Log struct {
	mu  sync.Mutex // guards what follows
	buf bytes.Buffer
}

// Logger returns a logger that writes to the log.
func (l *Log) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *Log) Write(p []byte) (int, error) {
	if Holding() {
		panic("a connection is held while something is logged")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Lines returns the lines that contain a text.
func (l *Log) Lines(text string) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
