package database

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// PostgreSQL's error codes, see "PostgreSQL Error Codes", appendix A of its manual.
const (
	connectionDoesNotExist = "08003"
	connectionFailure      = "08006"
	uniqueViolation        = "23505"
	serializationFailure   = "40001"
	deadlockDetected       = "40P01"
	insufficientPrivilege  = "42501"
	tooManyConnections     = "53300"
	queryCanceled          = "57014"
	adminShutdown          = "57P01"
	crashShutdown          = "57P02"
	cannotConnectNow       = "57P03"
)

var retryableCodes = []string{
	connectionDoesNotExist, connectionFailure, uniqueViolation, serializationFailure, deadlockDetected,
	adminShutdown, crashShutdown, cannotConnectNow,
}

// retryable reports whether the same unit of work may succeed when it is repeated.
func retryable(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return slices.Contains(retryableCodes, pg.Code)
	}
	return lost(err) && !errors.Is(err, ErrOverloaded)
}

// lost reports whether the database could not be reached, or stopped answering.
func lost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08") || pg.Code == tooManyConnections
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "conn closed")
}

// silent reports whether the database did not answer at all, not even with an error.
func silent(err error) bool {
	var pg *pgconn.PgError
	return err != nil && !errors.As(err, &pg)
}

// classify adds the error for clients to that of a unit of work that had a connection:
// ErrOverloaded when the database certainly did nothing, and ErrUnavailable when the
// connection broke, so that the outcome is unknown.
func classify(err error, broken bool) error {
	switch {
	case err == nil:
		return nil
	case broken, lost(err) && !pgconn.Timeout(err):
		return Unavailable(err)
	case errors.Is(err, errHeldTooLong), isCode(err, queryCanceled), pgconn.Timeout(err),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Overloaded(err)
	}
	return err
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
