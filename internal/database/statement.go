package database

import (
	"strings"
	"time"
)

// NameMark begins every statement and is followed by its name and a line break:
// "-- name: list_members". Metrics and the log of slow statements use the name.
// PostgreSQL shows the line in pg_stat_activity, pg_stat_statements and its log.
const NameMark = "-- name: "

const unnamed = "unnamed"

// statementName returns a statement's name.
func statementName(sql string) string {
	rest, ok := strings.CutPrefix(sql, NameMark)
	if !ok {
		return unnamed
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// summary describes any program's statement: by its name when it is ours, or else by
// its verb and table.
func summary(sql string) string {
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
	name       string   // see Observer.Executed
	statements []string // their names
	begun      time.Time
	took       time.Duration
	rows       int64 // returned or changed
	err        error
	sql        string // of a single statement
}

// newExecution names a round trip. single is the text of the last statement that is
// not about the transaction.
func newExecution(unit string, names []string, single string) execution {
	e := execution{unit: unit, name: unit, statements: names}
	only := ""
	for _, n := range names {
		switch {
		case n == beginName || n == commitName || n == rollbackName:
		case only == "":
			only = n
		default:
			return e
		}
	}
	switch {
	case only != "":
		e.name, e.sql = only, single
	case len(names) == 1:
		e.name = names[0]
	}
	return e
}
