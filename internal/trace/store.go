package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Unit is a unit of work that is done, as it is traced once its connection has been
// given back.
type Unit struct {
	Name       string // of the unit
	System     string // as the semantic conventions call the database
	Host       string // "" for none
	Port       int
	Asked      time.Time // for a connection
	Taken      time.Time // zero when there was none
	Statements []Statement
	Failed     string // what went wrong, as a code; "" for nothing
}

// Statement is one round trip: a statement, or several that were sent together.
type Statement struct {
	Name   string   // the statement's, or the unit's when there are several
	Names  []string // of all
	Begun  time.Time
	Took   time.Duration
	Rows   int64  // given back or changed
	Failed string // the database's code; "" for nothing
}

// maxStatements bounds the spans of one unit. SQLite carries each message out as a
// statement of its own.
const maxStatements = 32

// Unit makes the spans of a unit of work under ctx. Ask Traces first.
func (t *Tracer) Unit(ctx context.Context, u Unit) {
	unit := attribute.String("chowk.db.unit", u.Name)
	end := u.Taken
	if end.IsZero() {
		end = time.Now()
	}
	_, wait := t.tracer.Start(ctx, "pool wait", trace.WithTimestamp(u.Asked), trace.WithAttributes(unit))
	if u.Taken.IsZero() {
		fault(wait, u.Failed)
	}
	wait.End(trace.WithTimestamp(end))
	if u.Taken.IsZero() {
		return
	}
	ctx, span := t.tracer.Start(ctx, "unit of work "+u.Name, trace.WithTimestamp(u.Taken), trace.WithAttributes(unit))
	for i := range u.Statements {
		if i == maxStatements {
			span.SetAttributes(attribute.Int("chowk.db.statements.left_out", len(u.Statements)-i))
			break
		}
		t.statement(ctx, &u, &u.Statements[i])
	}
	fault(span, u.Failed)
	span.End()
}

func (t *Tracer) statement(ctx context.Context, u *Unit, s *Statement) {
	attrs := []attribute.KeyValue{
		attribute.String("db.system.name", u.System), attribute.String("db.query.summary", s.Name), attribute.Int64("chowk.db.rows", s.Rows),
	}
	if u.Host != "" {
		attrs = append(attrs, attribute.String("server.address", u.Host), attribute.Int("server.port", u.Port))
	}
	if len(s.Names) > 1 {
		attrs = append(attrs, attribute.Int("db.operation.batch.size", len(s.Names)), attribute.StringSlice("chowk.db.statements", s.Names))
	}
	_, span := t.tracer.Start(ctx, s.Name, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(s.Begun), trace.WithAttributes(attrs...))
	fault(span, s.Failed)
	if s.Failed != "" {
		span.SetAttributes(attribute.String("db.response.status_code", s.Failed))
	}
	span.End(trace.WithTimestamp(s.Begun.Add(s.Took)))
}

func fault(s trace.Span, code string) {
	if code != "" {
		s.SetStatus(codes.Error, code)
		s.SetAttributes(attribute.String("error.type", code))
	}
}
