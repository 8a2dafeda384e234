package database

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	goosedb "github.com/pressly/goose/v3/database"
	"zombiezen.com/go/sqlite"
)

// sqliteDB is the embedded database. Its one writing connection makes transactions
// wait for each other in Go instead of failing in SQLite. In WAL mode readers never
// wait for it. More readers than cores would starve the writer.
type sqliteDB struct {
	path     string
	timeouts Pool // only its two timeouts
	common
	lock    *os.File // nil for a command that runs next to a server
	marker  marker
	writer  sqlitePool
	readers sqlitePool
	apart   sqlitePool // for health checks and administrators
	closing sync.Once
	closed  chan struct{}
}

// sqlitePool is a set of connections. A unit with a lease finds one in the channel.
type sqlitePool struct {
	idle   chan *sqlite.Conn
	leases *leases
}

const (
	minReaders, maxReaders = 2, 4
	// busyTimeout bounds the wait for another process that has the file locked.
	busyTimeout = 5 * time.Second
)

// sqlitePragmas configure each connection. The checkpoint bounds the WAL at about
// 17 MB.
var sqlitePragmas = []string{
	"PRAGMA journal_mode=WAL",
	"PRAGMA synchronous=FULL",
	"PRAGMA wal_autocheckpoint=4000",
	"PRAGMA foreign_keys=ON",
	"PRAGMA cache_size=-16384",
	"PRAGMA temp_store=MEMORY",
}

func openSQLite(ctx context.Context, path string, o Options, c common) (*sqliteDB, error) {
	path = strings.TrimPrefix(path, "//")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	var lock *os.File
	if !o.SharedOpen {
		var err error
		if lock, err = lockFile(path + ".lock"); err != nil {
			return nil, err
		}
	}
	readers := min(max(runtime.GOMAXPROCS(0), minReaders), maxReaders)
	pool := func(n int, limit string) sqlitePool {
		return sqlitePool{make(chan *sqlite.Conn, n), newLeases(n, limit, c)}
	}
	db := &sqliteDB{
		path: path, timeouts: o.Pool.WithDefaults(), common: c, lock: lock, closed: make(chan struct{}),
		writer:  pool(1, "limit of 1 SQLite writer"),
		readers: pool(readers, fmt.Sprintf("limit of %d SQLite readers", readers)),
		apart:   pool(1, "limit of 1 connection kept apart"),
	}
	if err := db.open(ctx, o); err != nil {
		return nil, errors.Join(err, db.closeIdle(), db.unlock())
	}
	if !o.SharedOpen {
		db.startMarking()
	}
	return db, nil
}

func (db *sqliteDB) open(ctx context.Context, o Options) error {
	for _, pool := range db.pools() {
		for range cap(pool.idle) {
			c, err := db.connect()
			if err != nil {
				return err
			}
			pool.idle <- c
		}
	}
	if err := migrate(ctx, o.Schema, "sqlite", "sqlite", db.path, goosedb.DialectSQLite3); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	if db.lock == nil {
		return nil // a server may be running
	}
	return db.checkHistory(ctx)
}

func (db *sqliteDB) pools() []sqlitePool { return []sqlitePool{db.readers, db.apart, db.writer} }

func (db *sqliteDB) connect() (*sqlite.Conn, error) {
	raw, err := sqlite.OpenConn(db.path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.path, err)
	}
	raw.SetBusyTimeout(busyTimeout)
	c := &sqliteConn{unit: "open", raw: raw}
	for _, pragma := range sqlitePragmas {
		if err := Query(c, "-- name: pragma\n"+pragma, func(Row) error { return nil }); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", pragma, err), raw.Close())
		}
	}
	if err := checkDurable(c); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	raw.SetBlockOnBusy() // until the unit is interrupted at its limit
	return raw, nil
}

// checkDurable reads back the settings on which acknowledgements rest: drivers differ
// in their defaults, and SQLite ignores without an error what it cannot do.
func checkDurable(c Conn) error {
	var level int64
	var mode string
	err := Query(c, "-- name: read_synchronous\nPRAGMA synchronous", func(r Row) error { return r.Scan(&level) })
	if err != nil {
		return err
	}
	err = Query(c, "-- name: read_journal_mode\nPRAGMA journal_mode", func(r Row) error { return r.Scan(&mode) })
	if err != nil {
		return err
	}
	if level < 2 || mode != "wal" {
		return fmt.Errorf("SQLite has journal_mode=%s and synchronous=%d here; chowk needs wal and 2 (FULL), "+
			"so that what is acknowledged is on disk. Is the file on a network file system?", mode, level)
	}
	return nil
}

func (*sqliteDB) kind() string { return "sqlite" }

// history is empty: the epoch in the file says all.
func (*sqliteDB) history(context.Context) (string, error) { return "", nil }

// durability is what checkDurable made sure of.
func (*sqliteDB) durability(context.Context) (string, error) { return "disk", nil }

func (db *sqliteDB) ping(ctx context.Context) error {
	return db.lend(ctx, "ping", db.apart, pingTimeout, func(c *sqliteConn) error {
		return Query(c, "-- name: ping\nSELECT 1", func(Row) error { return nil })
	})
}

func (db *sqliteDB) stats() PoolStats {
	units := cap(db.readers.idle) + cap(db.writer.idle)
	s := PoolStats{Max: units, Opened: int64(units + cap(db.apart.idle))}
	s.add(db.writer.leases, db.readers.leases)
	s.Idle = s.Max - s.InUse
	return s
}

// close waits for the units of work in progress.
func (db *sqliteDB) close() (err error) {
	db.closing.Do(func() {
		db.stopMarking()
		close(db.closed)
		for _, pool := range db.pools() {
			for range cap(pool.idle) {
				err = errors.Join(err, (<-pool.idle).Close())
			}
		}
		err = errors.Join(err, db.unlock())
	})
	return err
}

func (db *sqliteDB) closeIdle() (err error) {
	for _, pool := range db.pools() {
		for len(pool.idle) > 0 {
			err = errors.Join(err, (<-pool.idle).Close())
		}
	}
	return err
}

func (db *sqliteDB) unlock() error {
	if db.lock == nil {
		return nil
	}
	return db.lock.Close()
}
