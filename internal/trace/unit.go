package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Unit is a finished unit of work with the database. It is traced after its connection
// has been returned.
type Unit struct {
	Name       string // of the unit
	System     string // the database's name in OpenTelemetry's semantic conventions
	Host       string // "" for none
	Port       int
	Requested  time.Time // when it began to wait for a connection
	Acquired   time.Time // when it got one; zero if it did not
	Statements []Statement
	Failed     string // error code, "" for none
}

// Statement is one round trip to the database.
type Statement struct {
	Name     string   // of the statement, or of the unit if several were sent together
	Names    []string // of all statements
	Started  time.Time
	Duration time.Duration
	Rows     int64  // returned or changed
	Failed   string // the database's error code, "" for none
}

// maxStatements bounds the spans of one unit. With SQLite, each message is a statement.
const maxStatements = 32

// Unit creates the spans of a unit of work under ctx. It must be called only if Traces
// reports true.
func (t *Tracer) Unit(ctx context.Context, u Unit) {
	unit := attribute.String("chowk.db.unit", u.Name)
	end := u.Acquired
	if end.IsZero() {
		end = time.Now()
	}
	_, wait := t.tracer.Start(ctx, "pool wait", trace.WithTimestamp(u.Requested), trace.WithAttributes(unit))
	if u.Acquired.IsZero() {
		setFailed(wait, u.Failed)
	}
	wait.End(trace.WithTimestamp(end))
	if u.Acquired.IsZero() {
		return
	}
	ctx, span := t.tracer.Start(ctx, "unit of work "+u.Name,
		trace.WithTimestamp(u.Acquired), trace.WithAttributes(unit))
	for i := range u.Statements {
		if i == maxStatements {
			span.SetAttributes(attribute.Int("chowk.db.statements.left_out", len(u.Statements)-i))
			break
		}
		t.statement(ctx, &u, &u.Statements[i])
	}
	setFailed(span, u.Failed)
	span.End()
}

func (t *Tracer) statement(ctx context.Context, u *Unit, s *Statement) {
	attrs := []attribute.KeyValue{
		attribute.String("db.system.name", u.System),
		attribute.String("db.query.summary", s.Name),
		attribute.Int64("chowk.db.rows", s.Rows),
	}
	if u.Host != "" {
		attrs = append(attrs, attribute.String("server.address", u.Host), attribute.Int("server.port", u.Port))
	}
	if len(s.Names) > 1 {
		attrs = append(attrs,
			attribute.Int("db.operation.batch.size", len(s.Names)),
			attribute.StringSlice("chowk.db.statements", s.Names))
	}
	_, span := t.tracer.Start(ctx, s.Name,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(s.Started), trace.WithAttributes(attrs...))
	setFailed(span, s.Failed)
	if s.Failed != "" {
		span.SetAttributes(attribute.String("db.response.status_code", s.Failed))
	}
	span.End(trace.WithTimestamp(s.Started.Add(s.Duration)))
}

func setFailed(s trace.Span, code string) {
	if code != "" {
		s.SetStatus(codes.Error, code)
		s.SetAttributes(attribute.String("error.type", code))
	}
}
