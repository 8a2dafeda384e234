package database

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/chowk-chat/chowk/internal/trace"
)

// common is what both backends have: options, and where they report their work.
type common struct {
	observer           Observer
	log                *slog.Logger
	trace              *trace.Tracer
	slow               *slowLog
	holdSoft, holdHard time.Duration
	priority           []string
}

func newCommon(o Options) common {
	return common{
		observer: o.Observer, log: o.Log, trace: o.Trace, slow: newSlowLog(o.SlowQuery, o.Log),
		holdSoft: o.HoldSoft, holdHard: o.HoldHard, priority: o.Priority,
	}
}

func (c common) hasPriority(unit string) bool { return slices.Contains(c.priority, unit) }

// report reports the round trips of a unit that has returned its connection.
func (c common) report(done []execution) {
	for _, e := range done {
		c.observer.Executed(e.name, e.statements, e.took, e.err)
		c.slow.see(e)
	}
}

// refused counts and traces a unit of work that got no connection.
func (c common) refused(ctx context.Context, unit, why string, asked time.Time) {
	c.observer.Refused(unit, why)
	c.traceRefused(ctx, unit, why, asked)
}

// traceRefused only traces it: the unit may still get a connection elsewhere.
func (c common) traceRefused(ctx context.Context, unit, why string, asked time.Time) {
	if c.trace.Traces(ctx) {
		c.trace.Unit(ctx, trace.Unit{Name: unit, Requested: asked, Failed: why})
	}
}
