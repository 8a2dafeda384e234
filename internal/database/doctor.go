package database

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Examination is what Examine finds out about a database. What does not exist for
// its kind is zero.
type Examination struct {
	Kind       string            `json:"kind"`
	Version    string            `json:"version"`
	Durability string            `json:"durability"`
	Settings   map[string]string `json:"settings"` // those on which durability depends
	// SchemaVersion is what the database has, 0 while there is no schema, and
	// SchemaNewest what this binary knows.
	SchemaVersion, SchemaNewest int64
	// Flush are durations of small commits that had to reach the disk, the quickest
	// first.
	Flush []time.Duration
	// ClockOffset is how far the database's clock is ahead of ours, give or take
	// ClockError.
	ClockOffset, ClockError time.Duration
	// Standby says that the database cannot be written to because it follows another.
	Standby                     bool
	ConnectionsMax, Connections int // those allowed to us, and those in use by anybody
	Replicas                    []Replica
	Sessions                    []Session
	// Limited says that the role sees only its own sessions.
	Limited bool
	Bytes   int64
	// Damage is what the database says is wrong with its file.
	Damage string
	// Nodes are those that have noted that they share the database, by id with their
	// versions; one that was killed is there for a while. NodesSpace is the name by
	// which they keep apart from those of other databases.
	Nodes      map[string]string
	NodesSpace []byte
}

// Replica is a standby that follows the database.
type Replica struct {
	Name, State, Sync string
	LagBytes          int64
	Lag               time.Duration
}

// Session is a connection that blocks others, is blocked, or keeps a transaction
// or a statement open.
type Session struct {
	PID                       int64
	Application, User, Client string
	State                     string
	Statement                 string // its first words
	For                       time.Duration
	BlockedBy                 []int64
	Blocks                    int // how many wait for it
}

// ErrNoDatabase says that the file of an embedded database does not exist yet.
var ErrNoDatabase = errors.New("there is no database yet")

// Examine opens the database for a moment with one connection, changes nothing in
// it, and tells how it is. It works on one of any age, and beside a server.
func Examine(ctx context.Context, schema fs.FS, url string) (Examination, error) {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return examineSQLite(ctx, schema, strings.TrimPrefix(path, "//"))
	}
	return examinePostgres(ctx, schema, url)
}

// newestMigration is the number of the last migration that this binary has.
func newestMigration(schema fs.FS, dir string) (newest int64) {
	files, err := fs.Glob(schema, dir+"/*.sql")
	if err != nil {
		return 0
	}
	for _, f := range files {
		number, _, _ := strings.Cut(f[strings.LastIndexByte(f, '/')+1:], "_")
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			newest = max(newest, n)
		}
	}
	return newest
}

// flushes is how many commits are timed.
const flushes = 21

func timed(n int, f func() error) (took []time.Duration, err error) {
	for range n {
		start := time.Now()
		if err := f(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	return took, nil
}
