package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"zombiezen.com/go/sqlite"

	"github.com/chowk-chat/chowk/internal/trace"
)

// refused counts a unit of work that got no connection.
func (in instruments) refused(ctx context.Context, unit, why string, asked time.Time) {
	in.observer.Refused(unit, why)
	in.passedOver(ctx, unit, why, asked)
}

// passedOver tells only the trace.
func (in instruments) passedOver(ctx context.Context, unit, why string, asked time.Time) {
	if in.trace.Traces(ctx) {
		in.trace.Unit(ctx, trace.Unit{Name: unit, Asked: asked, Failed: why})
	}
}

// traced describes a unit of work that is done.
func traced(unit, system, host string, port int, asked, taken time.Time, done []execution, err error) trace.Unit {
	u := trace.Unit{Name: unit, System: system, Host: host, Port: port, Asked: asked, Taken: taken, Failed: errorCode(err)}
	u.Statements = make([]trace.Statement, len(done))
	for i := range done {
		e := &done[i]
		u.Statements[i] = trace.Statement{Name: e.name, Names: e.statements, Begun: e.begun, Took: e.took, Rows: e.rows, Failed: errorCode(e.err)}
	}
	return u
}

// errorCode is the database's own code for an error: its text may hold values.
func errorCode(err error) string {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errHeldLong):
		return "held_too_long"
	case errors.As(err, &pg):
		return pg.Code
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "gave_up"
	case lost(err):
		return "connection"
	}
	if code := sqlite.ErrCode(err); code != sqlite.ResultError {
		return code.String()
	}
	return "_OTHER"
}
