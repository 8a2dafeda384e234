package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for the migrations
	"github.com/pressly/goose/v3/database"
	_ "modernc.org/sqlite" // for the migrations

	"github.com/chowk-chat/chowk/chat"
)

// postgresDB is PostgreSQL: a pool for units of work, and a connection of its own
// for health.
type postgresDB struct {
	url      string
	pool     *pgxpool.Pool
	health   *pgxpool.Pool
	options  Pool
	ledger   *ledger
	observer Observer
}

var postgresDialect = dialect{
	lockChannels: " ORDER BY id FOR NO KEY UPDATE",
	skipExisting: " ON CONFLICT DO NOTHING",
	pairs:        " JOIN unnest($1::uuid[], $2::text[]) AS p(channel_id, user_id) ON m.channel_id = p.channel_id AND m.user_id = p.user_id",
	arrays:       true,
}

// Server-side bounds: a statement that hangs is the server's to end, because a
// query cancelled from this side costs its connection.
const (
	statementTimeout = 8 * time.Second
	connectTimeout   = 3 * time.Second
	pingTimeout      = time.Second
	maxWaiting       = 1000 // units of work that wait for a connection
)

func openPostgres(ctx context.Context, o Options) (*postgresDB, error) {
	p := o.Pool
	if p.Size == 0 {
		p.Size = 10
	}
	switch {
	case p.Overflow == 0:
		p.Overflow = 20
	case p.Overflow < 0:
		p.Overflow = 0
	}
	if p.Timeout == 0 {
		p.Timeout = 30 * time.Second
	}
	if p.MaxLifetime == 0 {
		p.MaxLifetime = time.Hour
	}
	if p.MaxIdleTime == 0 {
		p.MaxIdleTime = 60 * time.Second
	}
	db := &postgresDB{url: o.URL, options: p, observer: o.Observer, ledger: newLedger()}
	// The health connection is one of the sum.
	most := p.Size + p.Overflow
	var err error
	if db.health, err = db.connect(ctx, 1, 1); err != nil {
		return nil, err
	}
	if db.pool, err = db.connect(ctx, min(p.Size, max(most-1, 1))-1, max(most-1, 1)); err != nil {
		db.health.Close()
		return nil, err
	}
	return db, nil
}

func (db *postgresDB) connect(ctx context.Context, kept, most int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(db.url)
	if err != nil {
		return nil, errors.New("database URL: not one that PostgreSQL's drivers know, such as postgres://user:password@host/name")
	}
	c.MinConns, c.MaxConns = int32(max(kept, 0)), int32(most)
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = db.options.MaxLifetime, db.options.MaxLifetime/10
	c.MaxConnIdleTime, c.HealthCheckPeriod = db.options.MaxIdleTime, max(db.options.MaxIdleTime/4, time.Second)
	c.PingTimeout = pingTimeout
	c.ConnConfig.ConnectTimeout = connectTimeout
	set := func(name, value string) {
		if _, given := c.ConnConfig.RuntimeParams[name]; !given {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	set("application_name", "chowk")
	set("jit", "off") // it can cost a CPU second for a new connection's first query
	set("statement_timeout", fmt.Sprint(statementTimeout.Milliseconds()))
	set("idle_in_transaction_session_timeout", fmt.Sprint(2*statementTimeout.Milliseconds()))
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	reach, cancel := context.WithTimeout(ctx, 3*connectTimeout)
	defer cancel()
	if err := pool.Ping(reach); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

func (*postgresDB) kind() string      { return "postgres" }
func (*postgresDB) dialect() *dialect { return &postgresDialect }

func (db *postgresDB) migrate(ctx context.Context) error {
	return migrateWith(ctx, "pgx", db.url, database.DialectPostgres, "postgres")
}

func (db *sqliteDB) migrate(ctx context.Context) error {
	return migrateWith(ctx, "sqlite", db.path, database.DialectSQLite3, "sqlite")
}

func (db *postgresDB) durability(ctx context.Context) (class string, err error) {
	err = db.read(ctx, "durability", func(c conn) error {
		return query(c, `SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
			current_setting('synchronous_standby_names')`, func(r row) error {
			var commit, fsync, pages, standbys string
			err := r.scan(&commit, &fsync, &pages, &standbys)
			class = postgresDurability(commit, fsync, pages, standbys)
			return err
		})
	})
	return class, err
}

// history is the cluster and its timeline, where we may ask: a fail-over begins
// another timeline.
func (db *postgresDB) history(ctx context.Context) (history string, err error) {
	err = db.read(ctx, "history", func(c conn) error {
		return query(c, `SELECT '-' || s.system_identifier || '-' || c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c`,
			func(r row) error { return r.scan(&history) })
	})
	var denied *pgconn.PgError
	if errors.As(err, &denied) && denied.Code == "42501" {
		return "", nil
	}
	return history, err
}

func (db *postgresDB) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := db.health.Exec(ctx, "SELECT 1")
	return err
}

func (db *postgresDB) close() error {
	db.pool.Close()
	db.health.Close()
	return nil
}

func (db *postgresDB) read(ctx context.Context, unit string, f func(conn) error) error {
	return db.use(ctx, unit, func(c *postgresConn) error {
		err := f(c)
		if err == nil {
			err = c.flush()
		}
		return err
	})
}

// write tries again what was rolled back by no fault of its own: a deadlock with
// another node, a connection that was cut, a row that somebody else inserted in
// the meantime. Because of the last, and because a cut connection may have
// committed, f always looks first.
func (db *postgresDB) write(ctx context.Context, unit string, f func(conn) error) error {
	for attempt := 1; ; attempt++ {
		err := db.use(ctx, unit, func(c *postgresConn) error {
			c.queue("BEGIN", nil, nil)
			err := f(c)
			if err == nil {
				c.queue("COMMIT", nil, nil)
				err = c.flush()
			}
			if err != nil {
				c.rollback()
			}
			return err
		})
		if err == nil || !again(err) || ctx.Err() != nil || attempt == 100 {
			return err
		}
		if err := pause(ctx, time.Duration(min(attempt*attempt, 200))*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errUnavailable
	}
}

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
	return lost(err) && !errors.Is(err, errOverloaded)
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
		errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF")
}

func (db *postgresDB) use(ctx context.Context, unit string, f func(*postgresConn) error) error {
	asked := time.Now()
	if !db.ledger.wait() {
		db.observer.Refused(unit, "queue_full")
		return fmt.Errorf("%s: %s: %w", unit, db.exhausted(asked), errOverloaded)
	}
	wait := waitFor(ctx, db.options.Timeout)
	acquire, cancel := context.WithTimeout(ctx, wait)
	pooled, err := db.pool.Acquire(acquire)
	cancel()
	db.ledger.waited()
	if err != nil {
		return fmt.Errorf("%s: %w", unit, db.notAcquired(ctx, unit, asked, err))
	}
	taken := time.Now()
	id := db.ledger.borrow(unit, taken)
	err = f(&postgresConn{db: db, ctx: ctx, raw: pooled.Conn()})
	pooled.Release()
	db.ledger.giveBack(id)
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	if err == nil {
		return nil
	}
	if lost(err) {
		err = errors.Join(err, errUnavailable)
	} else if pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || isCode(err, "57014") {
		err = errors.Join(err, errOverloaded)
	}
	return fmt.Errorf("%s: %w", unit, err)
}

func isCode(err error, code string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == code
}

// notAcquired says why no connection was had: the database is away, or everybody
// else has them.
func (db *postgresDB) notAcquired(ctx context.Context, unit string, asked time.Time, err error) error {
	if lost(err) && !errors.Is(err, context.DeadlineExceeded) {
		db.observer.Refused(unit, "unreachable")
		return errors.Join(err, errUnavailable)
	}
	if int(db.pool.Stat().AcquiredConns()) < db.most() && ctx.Err() == nil {
		db.observer.Refused(unit, "unreachable")
		return errors.Join(fmt.Errorf("no connection could be opened within %v: %w", time.Since(asked), err), errUnavailable)
	}
	db.observer.Refused(unit, "timeout")
	return fmt.Errorf("%s: %w", db.exhausted(asked), errOverloaded)
}

func (db *postgresDB) most() int { return int(db.pool.Config().MaxConns) }

// exhausted describes the pool in the words of the field.
func (db *postgresDB) exhausted(asked time.Time) string {
	return fmt.Sprintf("pool limit of size %d overflow %d reached, waited %v (%s)", db.options.Size, db.options.Overflow,
		time.Since(asked).Round(time.Millisecond), db.ledger)
}

// postgresConn pipelines what is queued.
type postgresConn struct {
	db    *postgresDB
	ctx   context.Context //nolint:containedctx // of the unit that has the connection
	raw   *pgx.Conn
	batch pgx.Batch
	names []string
}

func (c *postgresConn) queue(sql string, args []any, each func(row) error) {
	q := c.batch.Queue(sql, forPostgres(args)...)
	c.names = append(c.names, statementName(sql))
	if each == nil {
		q.Exec(func(pgconn.CommandTag) error { return nil })
		return
	}
	q.Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := each(postgresRow{rows}); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

func (c *postgresConn) flush() error {
	if c.batch.Len() == 0 {
		return nil
	}
	start := time.Now()
	err := c.raw.SendBatch(c.ctx, &c.batch).Close()
	for _, name := range c.names {
		c.db.observer.Executed(name, time.Since(start), err)
	}
	c.batch, c.names = pgx.Batch{}, nil
	return err
}

// rollback ends a transaction that failed, whatever became of the unit's ctx. A
// connection on which that fails is closed by the pool.
func (c *postgresConn) rollback() {
	if c.raw.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), pingTimeout)
	defer cancel()
	if _, err := c.raw.Exec(ctx, "ROLLBACK"); err != nil {
		_ = c.raw.Close(ctx)
	}
}

// forPostgres gives pgx the types that it knows.
func forPostgres(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case chat.ID:
			out[i] = [16]byte(a)
		case *chat.ID:
			out[i] = (*[16]byte)(a)
		case []chat.ID:
			ids := make([][16]byte, len(a))
			for j := range a {
				ids[j] = a[j]
			}
			out[i] = ids
		case chat.TokenHash:
			out[i] = a[:]
		case []chat.TokenHash:
			hashes := make([][]byte, len(a))
			for j := range a {
				hashes[j] = a[j][:]
			}
			out[i] = hashes
		case []chat.UserID:
			users := make([]string, len(a))
			for j := range a {
				users[j] = string(a[j])
			}
			out[i] = users
		case chat.UserID:
			out[i] = string(a)
		case chat.Time:
			out[i] = int64(a)
		case *chat.UserID:
			out[i] = (*string)(a)
		default:
			out[i] = a
		}
	}
	return out
}

type postgresRow struct{ rows pgx.Rows }

func (r postgresRow) scan(into ...any) error {
	dest := make([]any, len(into))
	var after []func()
	for i, p := range into {
		switch p := p.(type) {
		case *chat.ID:
			dest[i] = (*[16]byte)(p)
		case *chat.UserID:
			dest[i] = (*string)(p)
		case *chat.Time:
			dest[i] = (*int64)(p)
		case *chat.TokenHash:
			b := new([]byte)
			dest[i] = b
			after = append(after, func() { copy(p[:], *b) })
		case **chat.ID:
			b := new(*[16]byte)
			dest[i] = b
			after = append(after, func() { *p = (*chat.ID)(*b) })
		case **chat.UserID:
			b := new(*string)
			dest[i] = b
			after = append(after, func() { *p = (*chat.UserID)(*b) })
		default:
			dest[i] = p
		}
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	for _, f := range after {
		f()
	}
	return nil
}
