package database

import (
	"strings"
	"time"
)

// Every statement begins with a line that names it, "-- name: list_members". The
// name is what metrics and the log of slow statements call it; PostgreSQL shows
// the line in pg_stat_activity, pg_stat_statements and its own log.
const (
	NameMark = "-- name: "
	unnamed  = "unnamed"
)

// statementName reads the name.
func statementName(sql string) string {
	rest, ok := strings.CutPrefix(sql, NameMark)
	if !ok {
		return unnamed
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// inShort names anybody's statement: by its name when it is ours, else by its first
// words.
func inShort(sql string) string {
	if name := statementName(sql); name != unnamed {
		return name
	}
	words := strings.Fields(sql)
	keep := 0
	for i, w := range words {
		switch strings.ToUpper(w) {
		case "INSERT", "DELETE", "PRAGMA", "BEGIN", "COMMIT", "ROLLBACK":
			keep = min(i+3, len(words))
		case "FROM", "UPDATE", "INTO":
			keep = min(i+2, len(words))
		}
		if keep > 0 {
			return strings.ToLower(words[0] + " " + strings.Trim(words[keep-1], "(,;"))
		}
	}
	return strings.ToLower(strings.Join(words[:min(len(words), 1)], ""))
}

// The statements around transactions.
const (
	beginSQL     = NameMark + "begin\nBEGIN"
	beginWrite   = NameMark + "begin\nBEGIN IMMEDIATE" // SQLite
	commitSQL    = NameMark + "commit\nCOMMIT"
	rollbackSQL  = NameMark + "rollback\nROLLBACK"
	beginName    = "begin"
	commitName   = "commit"
	rollbackName = "rollback"
)

// execution is one round trip to the database.
type execution struct {
	unit       string
	name       string   // see Observer
	statements []string // the names
	begun      time.Time
	took       time.Duration
	rows       int64 // given back or changed
	err        error
	sql        string // of a single statement
}

func newExecution(unit string, names []string, single string) execution {
	e := execution{unit: unit, name: unit, statements: names}
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
		e.name, e.sql = own, single
	case len(names) == 1:
		e.name = names[0]
	}
	return e
}
