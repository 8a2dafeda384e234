package store

import (
	"strings"
	"time"
)

// Every statement begins with a line that names it, "-- name: list_members". The
// name is what metrics and the log of slow statements call it; PostgreSQL shows
// the line in pg_stat_activity, pg_stat_statements and its own log.
const (
	nameMark = "-- name: "
	unnamed  = "unnamed"
)

// statementName reads the name.
func statementName(sql string) string {
	rest, ok := strings.CutPrefix(sql, nameMark)
	if !ok {
		return unnamed
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// The statements around transactions.
const (
	beginSQL     = nameMark + "begin\nBEGIN"
	beginWrite   = nameMark + "begin\nBEGIN IMMEDIATE" // SQLite
	commitSQL    = nameMark + "commit\nCOMMIT"
	rollbackSQL  = nameMark + "rollback\nROLLBACK"
	beginName    = "begin"
	commitName   = "commit"
	rollbackName = "rollback"
)

// Execution is one round trip to the database: a statement or, where several are
// sent together, those.
type Execution struct {
	Unit string
	// Name is the statement's; of several, of which only the sum is known, it is the
	// unit's. Begin and commit do not count.
	Name       string
	Statements []string // the names
	Took       time.Duration
	Rows       int64 // given back or changed
	Err        error

	sql string // of a single SELECT
}

func execution(unit string, names []string, single string) Execution {
	e := Execution{Unit: unit, Name: unit, Statements: names}
	own := ""
	for _, n := range names {
		switch {
		case n == beginName || n == commitName || n == rollbackName:
		case own == "":
			own = n
		default:
			return e
		}
	}
	switch {
	case own != "":
		e.Name, e.sql = own, single
	case len(names) == 1:
		e.Name = names[0]
	}
	return e
}
