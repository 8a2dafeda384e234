package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/chowk-chat/chowk/chat"
)

// sqliteDB is the embedded database: one connection that writes, which makes
// transactions wait for each other in Go instead of failing in SQLite, and a few
// that read, which in WAL mode nobody waits for. More readers than cores would
// starve the writer.
type sqliteDB struct {
	path     string
	observer Observer
	lock     *os.File
	writer   chan *sqliteConn
	readers  chan *sqliteConn
	health   chan *sqliteConn
	closing  sync.Once
	closed   chan struct{}
}

var sqliteDialect = dialect{skipExisting: " ON CONFLICT DO NOTHING"}

// The checkpoint's size bounds the WAL at about 17 MB.
const sqlitePragmas = `PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=4000;
PRAGMA foreign_keys=ON;
PRAGMA cache_size=-16384;
PRAGMA temp_store=MEMORY`

func openSQLite(ctx context.Context, path string, o Options) (*sqliteDB, error) {
	path = strings.TrimPrefix(path, "//")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	var lock *os.File
	if !o.Beside {
		var err error
		if lock, err = lockFile(path + ".lock"); err != nil {
			return nil, err
		}
	}
	readers := min(max(runtime.GOMAXPROCS(0), 2), 4)
	db := &sqliteDB{
		path: path, observer: o.Observer, lock: lock,
		writer: make(chan *sqliteConn, 1), readers: make(chan *sqliteConn, readers), health: make(chan *sqliteConn, 1),
		closed: make(chan struct{}),
	}
	for _, pool := range []chan *sqliteConn{db.writer, db.readers, db.health} {
		for range cap(pool) {
			c, err := db.connect(ctx)
			if err != nil {
				return nil, errors.Join(err, db.closeIdle(), db.unlock())
			}
			pool <- c
		}
	}
	return db, nil
}

func (db *sqliteDB) connect(ctx context.Context) (*sqliteConn, error) {
	raw, err := sqlite.OpenConn(db.path, sqlite.OpenReadWrite, sqlite.OpenCreate)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", db.path, err)
	}
	raw.SetBusyTimeout(5 * time.Second)
	c := &sqliteConn{db: db, raw: raw, ctx: ctx}
	for pragma := range strings.SplitSeq(sqlitePragmas, ";\n") {
		if err := query(c, pragma, func(row) error { return nil }); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", pragma, err), raw.Close())
		}
	}
	return c, nil
}

func (*sqliteDB) kind() string      { return "sqlite" }
func (*sqliteDB) dialect() *dialect { return &sqliteDialect }

// history: the epoch in the file is all there is to tell.
func (*sqliteDB) history(context.Context) (string, error) { return "", nil }

func (db *sqliteDB) durability(ctx context.Context) (class string, err error) {
	class = "disk"
	err = db.use(ctx, "durability", db.writer, func(c conn) error {
		return query(c, "PRAGMA synchronous", func(r row) error {
			var level int64
			err := r.scan(&level)
			if level < 2 {
				class = "os"
			}
			return err
		})
	})
	return class, err
}

func (db *sqliteDB) ping(ctx context.Context) error {
	return db.use(ctx, "ping", db.health, func(c conn) error { return query(c, "SELECT 1", func(row) error { return nil }) })
}

// close waits for the units of work under way.
func (db *sqliteDB) close() (err error) {
	db.closing.Do(func() {
		close(db.closed)
		for _, pool := range []chan *sqliteConn{db.readers, db.health, db.writer} {
			for range cap(pool) {
				err = errors.Join(err, (<-pool).raw.Close())
			}
		}
		err = errors.Join(err, db.unlock())
	})
	return err
}

func (db *sqliteDB) closeIdle() (err error) {
	for _, pool := range []chan *sqliteConn{db.readers, db.health, db.writer} {
		for len(pool) > 0 {
			err = errors.Join(err, (<-pool).raw.Close())
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

func (db *sqliteDB) read(ctx context.Context, unit string, f func(conn) error) error {
	return db.use(ctx, unit, db.readers, func(c conn) error {
		// One snapshot for all statements of the unit.
		return transaction(c, "BEGIN", f)
	})
}

func (db *sqliteDB) write(ctx context.Context, unit string, f func(conn) error) error {
	return db.use(ctx, unit, db.writer, func(c conn) error { return transaction(c, "BEGIN IMMEDIATE", f) })
}

func transaction(c conn, begin string, f func(conn) error) error {
	err := exec(c, begin)
	if err != nil {
		return err
	}
	if err = f(c); err == nil {
		err = c.flush()
	}
	if err == nil {
		if err = exec(c, "COMMIT"); err == nil {
			return nil
		}
	}
	if sc, ok := c.(*sqliteConn); ok {
		sc.failed = nil
		if !sc.raw.AutocommitEnabled() {
			sc.ctx = context.Background() // roll back even when the unit's time is over
			sc.raw.SetInterrupt(nil)
			err = errors.Join(err, exec(c, "ROLLBACK"))
		}
	}
	return err
}

// acquireTimeout is how long anything that a client waits for waits for a
// connection.
const acquireTimeout = 250 * time.Millisecond

func (db *sqliteDB) use(ctx context.Context, unit string, pool chan *sqliteConn, f func(conn) error) error {
	asked := time.Now()
	timer := time.NewTimer(waitFor(ctx, 30*time.Second))
	defer timer.Stop()
	var c *sqliteConn
	select {
	case <-db.closed:
		return fmt.Errorf("%s: the store is closed: %w", unit, errUnavailable)
	default:
	}
	select {
	case c = <-pool:
	case <-db.closed:
		return fmt.Errorf("%s: the store is closed: %w", unit, errUnavailable)
	case <-ctx.Done():
		db.observer.Refused(unit, "gave_up")
		return fmt.Errorf("%s: wait for a connection: %w", unit, errOverloaded)
	case <-timer.C:
		db.observer.Refused(unit, "timeout")
		return fmt.Errorf("%s: no connection came within %v: %w", unit, time.Since(asked), errOverloaded)
	}
	taken := time.Now()
	c.ctx, c.failed = ctx, nil
	c.raw.SetInterrupt(ctx.Done())
	err := f(c)
	c.raw.SetInterrupt(nil)
	pool <- c
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	if err != nil {
		return fmt.Errorf("%s: %w", unit, sqliteError(err))
	}
	return nil
}

// waitFor is how long to wait for a connection: briefly when a client waits, that
// is, when there is a deadline.
func waitFor(ctx context.Context, background time.Duration) time.Duration {
	if _, hurried := ctx.Deadline(); hurried {
		return acquireTimeout
	}
	return background
}

// sqliteError adds what clients are told to an error of the database's.
func sqliteError(err error) error {
	switch code := sqlite.ErrCode(err).ToPrimary(); code {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen:
		return errors.Join(err, errUnavailable)
	case sqlite.ResultBusy, sqlite.ResultInterrupt:
		return errors.Join(err, errOverloaded)
	}
	return err
}

// sqliteConn carries statements out at once: there is no round trip to save.
type sqliteConn struct {
	db     *sqliteDB
	raw    *sqlite.Conn
	ctx    context.Context //nolint:containedctx // of the unit that has the connection
	failed error           // of a queued statement, until flush
}

func (c *sqliteConn) queue(sql string, args []any, each func(row) error) {
	if c.failed != nil {
		return
	}
	start := time.Now()
	c.failed = c.run(sql, args, each)
	c.db.observer.Executed(statementName(sql), time.Since(start), c.failed)
}

func (c *sqliteConn) flush() error {
	err := c.failed
	c.failed = nil
	return err
}

func (c *sqliteConn) run(sql string, args []any, each func(row) error) (err error) {
	stmt, err := c.raw.Prepare(forSQLite(sql, args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Reset()) }()
	for i, a := range args {
		if err := bind(stmt, i+1, a); err != nil {
			return err
		}
	}
	for {
		more, err := stmt.Step()
		if err != nil || !more {
			return err
		}
		if each != nil {
			if err := each(sqliteRow{stmt}); err != nil {
				return err
			}
		}
	}
}

// forSQLite rewrites $1 to ?1 — SQLite takes $1 for a name, bound in order of
// first appearance — and = ANY($1) to a look into a JSON array.
func forSQLite(sql string, args []any) string {
	for i, a := range args {
		n := fmt.Sprint("$", i+1)
		switch a.(type) {
		case []chat.ID, []chat.TokenHash:
			sql = strings.ReplaceAll(sql, "= ANY("+n+")", "IN (SELECT unhex(value) FROM json_each("+n+"))")
		case []string, []chat.UserID:
			sql = strings.ReplaceAll(sql, "= ANY("+n+")", "IN (SELECT value FROM json_each("+n+"))")
		}
	}
	return strings.ReplaceAll(sql, "$", "?")
}

func bind(s *sqlite.Stmt, i int, a any) error {
	switch a := a.(type) {
	case nil:
		s.BindNull(i)
	case int64:
		s.BindInt64(i, a)
	case int:
		s.BindInt64(i, int64(a))
	case bool:
		s.BindBool(i, a)
	case string:
		s.BindText(i, a)
	case []byte:
		s.BindBytes(i, a)
	case chat.Time:
		s.BindInt64(i, int64(a))
	case chat.UserID:
		s.BindText(i, string(a))
	case chat.ID:
		s.BindBytes(i, a[:])
	case chat.TokenHash:
		s.BindBytes(i, a[:])
	case *string:
		return bindPointer(s, i, a)
	case *int64:
		return bindPointer(s, i, a)
	case *bool:
		return bindPointer(s, i, a)
	case *chat.ID:
		return bindPointer(s, i, a)
	case *chat.UserID:
		return bindPointer(s, i, a)
	case []chat.ID:
		return bindJSON(s, i, hexes(a))
	case []chat.TokenHash:
		return bindJSON(s, i, hexes(a))
	case []string, []chat.UserID:
		return bindJSON(s, i, a)
	default:
		return fmt.Errorf("bind parameter %d: %T is no type of ours", i, a)
	}
	return nil
}

func bindPointer[T any](s *sqlite.Stmt, i int, p *T) error {
	if p == nil {
		s.BindNull(i)
		return nil
	}
	return bind(s, i, *p)
}

func bindJSON(s *sqlite.Stmt, i int, v any) error {
	b, err := json.Marshal(v)
	s.BindText(i, string(b))
	return err
}

func hexes[T chat.ID | chat.TokenHash](ids []T) []string {
	all := make([]string, len(ids))
	for i := range ids {
		switch id := any(ids[i]).(type) {
		case chat.ID:
			all[i] = hex.EncodeToString(id[:])
		case chat.TokenHash:
			all[i] = hex.EncodeToString(id[:])
		}
	}
	return all
}

type sqliteRow struct{ s *sqlite.Stmt }

func (r sqliteRow) scan(into ...any) error {
	for i, p := range into {
		if r.s.ColumnIsNull(i) {
			switch p.(type) {
			case **string, **int64, **chat.ID, **chat.UserID:
				continue
			}
			return fmt.Errorf("scan column %d: NULL into %T", i, p)
		}
		if err := scanSQLite(r.s, i, p); err != nil {
			return err
		}
	}
	return nil
}

func scanSQLite(s *sqlite.Stmt, i int, p any) error {
	switch p := p.(type) {
	case *int64:
		*p = s.ColumnInt64(i)
	case *bool:
		*p = s.ColumnInt64(i) != 0
	case *string:
		*p = s.ColumnText(i)
	case *[]byte:
		*p = make([]byte, s.ColumnLen(i))
		s.ColumnBytes(i, *p)
	case *chat.Time:
		*p = chat.Time(s.ColumnInt64(i))
	case *chat.UserID:
		*p = chat.UserID(s.ColumnText(i))
	case *chat.ID:
		s.ColumnBytes(i, p[:])
	case *chat.TokenHash:
		s.ColumnBytes(i, p[:])
	case **string:
		*p = new(string)
		return scanSQLite(s, i, *p)
	case **int64:
		*p = new(int64)
		return scanSQLite(s, i, *p)
	case **chat.ID:
		*p = new(chat.ID)
		return scanSQLite(s, i, *p)
	case **chat.UserID:
		*p = new(chat.UserID)
		return scanSQLite(s, i, *p)
	default:
		return fmt.Errorf("scan column %d: %T is no type of ours", i, p)
	}
	return nil
}
