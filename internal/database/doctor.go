package database

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Examination is what Examine finds out about a database. What its kind does not have
// is zero.
type Examination struct {
	Kind       string            `json:"kind"`
	Version    string            `json:"version"`
	Durability string            `json:"durability"`
	Settings   map[string]string `json:"settings"` // those that decide Durability
	// SchemaVersion is that of the database, 0 while there is no schema. SchemaNewest is
	// the newest that this binary supports.
	SchemaVersion, SchemaNewest int64
	// Flush holds the durations of small commits that had to reach the disk, the
	// shortest first.
	Flush []time.Duration
	// ClockOffset is how far the database's clock is ahead of ours, plus or minus
	// ClockError.
	ClockOffset, ClockError time.Duration
	// Standby means that the database follows another, so that it is read-only.
	Standby bool
	// ConnectionsMax is how many we may have, Connections how many there are, with those
	// of other programs.
	ConnectionsMax, Connections int
	Replicas                    []Replica
	Sessions                    []Session
	// Limited means that the role sees only its own sessions.
	Limited bool
	Bytes   int64
	// Damage is what the database reports to be wrong with its file.
	Damage string
}

// Replica is a standby that follows the database.
type Replica struct {
	Name, State, Sync string
	LagBytes          int64
	Lag               time.Duration
}

// Session is a connection that blocks others, is blocked, or has had a transaction or a
// statement open for long.
type Session struct {
	PID                       int64
	Application, User, Client string
	State                     string
	Statement                 string // its name, or its verb and table
	For                       time.Duration
	BlockedBy                 []int64
	Blocks                    int // how many sessions wait for it
}

// ErrNoDatabase means that the file of an embedded database does not exist yet.
var ErrNoDatabase = errors.New("there is no database yet")

// Examine opens the database for a moment with one connection, changes nothing in it,
// and reports its condition. It works on a schema of any age, while a server runs. read
// reads more on the same connection, unless the database is damaged.
func Examine(
	ctx context.Context, schema fs.FS, url string, read func(c Conn, schemaVersion int64) error,
) (Examination, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return examineSQLite(ctx, schema, strings.TrimPrefix(path, "//"), read)
	}
	return examinePostgres(ctx, schema, url, read)
}

// flushes is how many commits are timed.
const flushes = 21

// timeFlushes returns the sorted durations of f.
func timeFlushes(f func() error) (took []time.Duration, err error) {
	for range flushes {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took, nil
}
