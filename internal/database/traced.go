package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"zombiezen.com/go/sqlite"

	"github.com/chowk-chat/chowk/internal/trace"
)

// server is the database as a trace names it.
type server struct {
	system, host string
	port         int
}

// tracedUnit describes a unit of work that is done.
func tracedUnit(unit string, at server, asked, taken time.Time, done []execution, err error) trace.Unit {
	u := trace.Unit{
		Name: unit, System: at.system, Host: at.host, Port: at.port, Requested: asked, Acquired: taken,
		Failed:     errorCode(err),
		Statements: make([]trace.Statement, len(done)),
	}
	for i := range done {
		e := &done[i]
		u.Statements[i] = trace.Statement{
			Name: e.name, Names: e.statements, Started: e.begun, Duration: e.took, Rows: e.rows, Failed: errorCode(e.err),
		}
	}
	return u
}

// errorCode returns the database's code for an error, because its text may contain
// values.
func errorCode(err error) string {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errHeldTooLong):
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
