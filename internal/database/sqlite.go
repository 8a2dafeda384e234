package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	goosedb "github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // for the migrations
	"zombiezen.com/go/sqlite"
)

// sqliteDB is the embedded database: one connection that writes, which makes
// transactions wait for each other in Go instead of failing in SQLite, and a few
// that read, which in WAL mode nobody waits for. More readers than cores would
// starve the writer.
type sqliteDB struct {
	path   string
	schema fs.FS
	waits  Pool // of which the two waits
	instruments
	lock    *os.File
	marker  marker
	writer  sqlitePool
	readers sqlitePool
	apart   sqlitePool // for health and administrators
	closing sync.Once
	closed  chan struct{}
}

// sqlitePool is connections, and who has them. Whoever has a turn in the ledger
// finds one in the channel.
type sqlitePool struct {
	idle   chan *sqlite.Conn
	leases *leases
}

// The checkpoint's size bounds the WAL at about 17 MB.
const sqlitePragmas = `PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=4000;
PRAGMA foreign_keys=ON;
PRAGMA cache_size=-16384;
PRAGMA temp_store=MEMORY`

func openSQLite(ctx context.Context, path string, o Options, in instruments) (*sqliteDB, error) {
	path = strings.TrimPrefix(path, "//")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	var lock *os.File
	if !o.SharedOpen {
		var err error
		if lock, err = lockFile(path + ".lock"); err != nil {
			return nil, err
		}
	}
	readers := min(max(runtime.GOMAXPROCS(0), 2), 4)
	pool := func(n int, limit string) sqlitePool {
		return sqlitePool{make(chan *sqlite.Conn, n), newLedger(n, limit, in.watch, in.observer)}
	}
	db := &sqliteDB{
		path: path, schema: o.Schema, waits: o.Pool.withDefaults(), instruments: in, lock: lock, closed: make(chan struct{}),
		writer: pool(1, "SQLite's one writer: limit of 1"), readers: pool(readers, fmt.Sprintf("SQLite's readers: limit of %d", readers)),
		apart: pool(1, "the connection kept apart: limit of 1"),
	}
	if err := db.open(ctx); err != nil {
		return nil, errors.Join(err, db.closeIdle(), db.unlock())
	}
	if !o.SharedOpen {
		db.startMarking()
	}
	return db, nil
}

func (db *sqliteDB) open(ctx context.Context) error {
	for _, pool := range db.pools() {
		for range cap(pool.idle) {
			c, err := db.connect()
			if err != nil {
				return err
			}
			pool.idle <- c
		}
	}
	if err := migrateWith(ctx, "sqlite", db.path, goosedb.DialectSQLite3, db.schema, "sqlite"); err != nil {
		return fmt.Errorf("bring the schema up to date: %w", err)
	}
	if db.lock == nil {
		return nil // a server may be at work
	}
	return db.recognize(ctx)
}

func (db *sqliteDB) pools() []sqlitePool { return []sqlitePool{db.readers, db.apart, db.writer} }

func (db *sqliteDB) connect() (*sqlite.Conn, error) {
	raw, err := sqlite.OpenConn(db.path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.path, err)
	}
	raw.SetBusyTimeout(5 * time.Second)
	c := &sqliteConn{unit: "open", raw: raw}
	for pragma := range strings.SplitSeq(sqlitePragmas, ";\n") {
		if err := Query(c, "-- name: pragma\n"+pragma, func(Row) error { return nil }); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", pragma, err), raw.Close())
		}
	}
	if err := mustBeDurable(c); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	raw.SetBlockOnBusy() // until the unit is interrupted at its limit
	return raw, nil
}

// mustBeDurable reads back what an acknowledgement rests on: drivers differ in
// their defaults, and SQLite ignores what it cannot do without an error.
func mustBeDurable(c Conn) error {
	var level int64
	var mode string
	if err := Query(c, "-- name: read_synchronous\nPRAGMA synchronous", func(r Row) error { return r.Scan(&level) }); err != nil {
		return err
	}
	if err := Query(c, "-- name: read_journal_mode\nPRAGMA journal_mode", func(r Row) error { return r.Scan(&mode) }); err != nil {
		return err
	}
	if level < 2 || mode != "wal" {
		return fmt.Errorf("SQLite has journal_mode=%s and synchronous=%d here; chowk needs wal and 2 (FULL), so that what is acknowledged is on disk. Is the file on a network file system?", mode, level)
	}
	return nil
}

func (*sqliteDB) kind() string { return "sqlite" }

// history: the epoch in the file is all there is to tell.
func (*sqliteDB) history(context.Context) (string, error) { return "", nil }

// durability is what mustBeDurable made sure of.
func (*sqliteDB) durability(context.Context) (string, error) { return "disk", nil }

func (db *sqliteDB) ping(ctx context.Context) error {
	return db.lend(ctx, "ping", db.apart, pingTimeout, func(c *sqliteConn) error {
		return Query(c, "-- name: ping\nSELECT 1", func(Row) error { return nil })
	})
}

func (db *sqliteDB) stats() PoolStats {
	s := PoolStats{Most: cap(db.readers.idle) + cap(db.writer.idle), Opened: int64(cap(db.readers.idle) + cap(db.writer.idle) + cap(db.apart.idle))}
	s.add(db.writer.leases, db.readers.leases)
	s.Idle = s.Most - s.InUse
	return s
}

// close waits for the units of work under way.
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

// read gives one snapshot to all statements of the unit.
func (db *sqliteDB) read(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.readers, db.waits.waitFor(ctx), func(c *sqliteConn) error { return c.transaction(beginSQL, f) })
}

// readAt: there is one copy.
func (db *sqliteDB) readAt(ctx context.Context, unit string, _ Statement, f func(Conn) error) error {
	return db.read(ctx, unit, f)
}

func (*sqliteDB) replicaCount() int { return 0 }

func (db *sqliteDB) write(ctx context.Context, unit string, f func(Conn) error) error {
	db.marker.work.Add(1)
	err := db.lend(ctx, unit, db.writer, db.waits.waitFor(ctx), func(c *sqliteConn) error { return c.transaction(beginWrite, f) })
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultIOErr {
		err = outcomeUnknown(err) // what could not be flushed may yet be in the log
	}
	return err
}

func (db *sqliteDB) reserved(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.apart, db.waits.Wait, func(c *sqliteConn) error { return c.transaction(beginSQL, f) })
}

// lend borrows a connection for f and gives it back. Nothing is logged or counted
// before that.
func (db *sqliteDB) lend(ctx context.Context, unit string, from sqlitePool, wait time.Duration, f func(*sqliteConn) error) error {
	asked := time.Now()
	h, err := from.leases.take(ctx, unit, wait)
	if err != nil {
		db.refused(ctx, unit, whyNoTurn(ctx, err), asked)
		return fmt.Errorf("%s: %w", unit, Overloaded(fmt.Errorf("%s: %w: %w", from.leases.exhausted(time.Since(asked)), err, ErrNotBegun)))
	}
	var raw *sqlite.Conn
	select {
	case raw = <-from.idle:
	case <-db.closed: // close takes the connections without a turn
		from.leases.give(h)
		return fmt.Errorf("%s: %w", unit, Unavailable(errors.New("the store is closed")))
	}
	taken := time.Now()
	held, cancel := from.leases.withHardLimit(ctx)
	c := &sqliteConn{unit: unit, raw: raw}
	raw.SetInterrupt(held.Done())
	err = holdConnection(f, c)
	raw.SetInterrupt(nil)
	from.idle <- raw
	from.leases.give(h)
	cancel()
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	db.report(c.done)
	err = sqliteError(from.leases.countCancelled(held, h, err))
	if db.trace.Traces(ctx) {
		db.trace.Unit(ctx, traced(unit, "sqlite", "", 0, asked, taken, c.done, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	return nil
}

// sqliteError adds what clients are told to an error of the database's.
func sqliteError(err error) error {
	switch code := sqlite.ErrCode(err).ToPrimary(); code {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen:
		return Unavailable(err)
	case sqlite.ResultBusy, sqlite.ResultInterrupt:
		return Overloaded(err)
	}
	return err
}
