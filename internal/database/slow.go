package database

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/internal/trace"
)

// instruments are what tells of the work of a database.
type instruments struct {
	observer Observer
	trace    *trace.Tracer
	watch    watch
	slow     *slowLog
}

func (in instruments) report(done []execution) {
	for _, e := range done {
		in.observer.Executed(e.name, e.statements, e.took, e.err)
		in.slow.see(e)
	}
}

// SlowQuery sums up a statement that was slow at least once since the start.
type SlowQuery struct {
	Name  string
	Count int64 // how often it was slow
	// Worst is its longest duration, when it was, in which unit of work, and how
	// many rows it gave or changed then.
	Worst     time.Duration
	WorstAt   time.Time
	WorstUnit string
	WorstRows int64
	// SQL is the statement's text, "" when several were sent together. Values are
	// never kept.
	SQL string
	// Plan is the database's plan without values, as of PlanAt; "" while none was asked for.
	Plan   string
	PlanAt time.Time
}

// slowLog keeps and logs the statements that took long. Their number is that of
// the names in the code.
type slowLog struct {
	threshold time.Duration
	log       *slog.Logger
	explain   func(ctx context.Context, sql string) (string, error) // nil: never
	done      sync.WaitGroup

	mu     sync.Mutex // guards what follows
	byName map[string]*slowEntry
	busy   bool // a plan is being asked for
	closed bool
}

type slowEntry struct {
	SlowQuery
	asked time.Time // for a plan
}

const (
	slowestShown = 20
	explainEvery = time.Hour
)

func (l *slowLog) worst() []SlowQuery {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]SlowQuery, 0, len(l.byName))
	for _, e := range l.byName {
		all = append(all, e.SlowQuery)
	}
	slices.SortFunc(all, func(a, b SlowQuery) int { return int(b.Worst - a.Worst) })
	return all[:min(len(all), slowestShown)]
}

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
	l.note(e)
}

// note keeps e, and asks for its plan when that is due.
func (l *slowLog) note(e execution) {
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
	if l.explain == nil || l.busy || l.closed || !isSelect(e.sql) || now.Sub(q.asked) < explainEvery {
		return
	}
	q.asked, l.busy = now, true
	l.done.Go(func() { l.ask(e.name, e.sql) }) // ends when the plan is there, after explainTimeout at the latest
}

// isSelect says whether a statement only reads, so that its plan is safe to ask for.
func isSelect(sql string) bool {
	_, text, _ := strings.Cut(sql, "\n")
	return strings.HasPrefix(strings.TrimSpace(text), "SELECT ")
}

// ask gets a plan; there is one at a time.
func (l *slowLog) ask(name, sql string) {
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
		l.log.Warn("the plan of a slow statement could not be had", "name", name, "error", err)
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
