package database

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// again says whether the same unit of work may succeed now.
func again(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "40P01", "40001", "23505", "57P01", "57P02", "57P03", "08006", "08003":
			return true
		}
		return false
	}
	return lost(err) && !errors.Is(err, ErrOverloaded)
}

// lost says whether the database could not be reached, or stopped answering.
func lost(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08") || pg.Code == "53300"
	}
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "conn closed")
}

// silent says whether the database gave no answer at all, not even an error.
func silent(err error) bool {
	var pg *pgconn.PgError
	return err != nil && !errors.As(err, &pg)
}

// explained adds what clients are told to an error of a unit of work that had a
// connection: overloaded when the database is sure to have done nothing, and
// unavailable when the connection broke, so that nobody knows.
func explained(err error, broken bool) error {
	switch {
	case err == nil:
		return nil
	case broken, lost(err) && !pgconn.Timeout(err):
		return Unavailable(err)
	case errors.Is(err, errHeldLong), isCode(err, "57014"), pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Overloaded(err)
	}
	return err
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}
