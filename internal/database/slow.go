package database

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// SlowQuery sums up a statement that was slow at least once since the start.
type SlowQuery struct {
	Name  string
	Count int64 // how often it was slow
	// Worst is its longest duration. WorstAt, WorstUnit and WorstRows are when that
	// was, in which unit of work, and how many rows it returned or changed.
	Worst     time.Duration
	WorstAt   time.Time
	WorstUnit string
	WorstRows int64
	// SQL is the statement's text, or empty when several were sent together. It never
	// contains values.
	SQL string
	// Plan is the database's plan without values, as of PlanAt. It is empty until it
	// was requested.
	Plan   string
	PlanAt time.Time
}

// slowLog logs and records slow statements. The names in the code bound how many it
// records.
type slowLog struct {
	threshold time.Duration
	log       *slog.Logger
	explain   func(ctx context.Context, sql string) (string, error) // nil: no plans
	done      sync.WaitGroup

	mu     sync.Mutex // guards what follows
	byName map[string]*slowEntry
	busy   bool // a plan is being requested
	closed bool
}

type slowEntry struct {
	SlowQuery
	requested time.Time // the plan
}

const (
	maxSlowQueries  = 20
	explainInterval = time.Hour
	explainTimeout  = 500 * time.Millisecond
)

func newSlowLog(threshold time.Duration, log *slog.Logger) *slowLog {
	return &slowLog{threshold: threshold, log: log, byName: make(map[string]*slowEntry)}
}

// worst returns the slowest statements, the slowest first.
func (l *slowLog) worst() []SlowQuery {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]SlowQuery, 0, len(l.byName))
	for _, e := range l.byName {
		all = append(all, e.SlowQuery)
	}
	slices.SortFunc(all, func(a, b SlowQuery) int { return int(b.Worst - a.Worst) })
	return all[:min(len(all), maxSlowQueries)]
}

// see logs and records a round trip when it was slow.
func (l *slowLog) see(e execution) {
	if e.took < l.threshold {
		return
	}
	attrs := []any{"name", e.name, "unit", e.unit, "duration", e.took.Round(time.Microsecond), "rows", e.rows}
	if len(e.statements) > 1 {
		attrs = append(attrs, "statements", strings.Join(e.statements, " "))
	}
	if e.err != nil {
		attrs = append(attrs, "error", e.err)
	}
	l.log.Warn("slow statement", attrs...)
	l.record(e)
}

// record records e, and requests its plan when that is due.
func (l *slowLog) record(e execution) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.byName[e.name]
	if q == nil {
		q = &slowEntry{SlowQuery: SlowQuery{Name: e.name}}
		l.byName[e.name] = q
	}
	q.Count++
	if e.sql != "" {
		q.SQL = e.sql
	}
	now := time.Now()
	if e.took > q.Worst {
		q.Worst, q.WorstAt, q.WorstUnit, q.WorstRows = e.took, now, e.unit, e.rows
	}
	if l.explain == nil || l.busy || l.closed || !isSelect(e.sql) || now.Sub(q.requested) < explainInterval {
		return
	}
	q.requested, l.busy = now, true
	l.done.Go(func() { l.requestPlan(e.name, e.sql) }) // ends after explainTimeout at the latest
}

// isSelect reports whether a statement only reads, so that it is safe to explain.
func isSelect(sql string) bool {
	_, text, _ := strings.Cut(sql, "\n")
	return strings.HasPrefix(strings.TrimSpace(text), "SELECT ")
}

// requestPlan records a statement's plan. It runs once at a time.
func (l *slowLog) requestPlan(name, sql string) {
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	plan, err := l.explain(ctx, sql)
	l.mu.Lock()
	l.busy = false
	if err == nil {
		l.byName[name].Plan, l.byName[name].PlanAt = plan, time.Now()
	}
	l.mu.Unlock()
	if err != nil {
		l.log.Warn("could not explain a slow statement", "name", name, "error", err)
		return
	}
	l.log.Warn("plan of a slow statement", "name", name, "plan", plan)
}

func (l *slowLog) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.done.Wait()
}
