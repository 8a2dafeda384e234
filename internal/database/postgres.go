package database

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib" // for the migrations
	goosedb "github.com/pressly/goose/v3/database"
)

// postgresDB is PostgreSQL: a pool for units of work, and a connection kept apart
// for health and administrators.
type postgresDB struct {
	url     string
	options Pool
	instruments
	main     leasedPool
	apart    leasedPool // without a pool when there is one connection in all
	replicas []*replica
	turn     atomic.Uint64 // whose it is among the replicas

	opened, closed atomic.Int64
}

// leasedPool lends the connections of a pool, and writes down to whom.
type leasedPool struct {
	pool    *pgxpool.Pool
	leases  *leases
	breaker *breaker
	// optional says that others are asked instead: what it refuses is refused to nobody.
	optional bool
}

const (
	connectTimeout = 3 * time.Second
	pingTimeout    = time.Second
	explainTimeout = 500 * time.Millisecond
	// acquireLeast is what a connection that is opened gets at least, however late the
	// turn for it came.
	acquireLeast = 50 * time.Millisecond
	maxWaiting   = 1000 // units of work that wait for a connection
	// cancelGrace is how long a server may take to obey a request to cancel, before
	// the connection is given up.
	cancelGrace = 500 * time.Millisecond
)

func openPostgres(ctx context.Context, o Options, in instruments) (*postgresDB, error) {
	db := &postgresDB{url: o.URL, options: o.Pool.withDefaults(), instruments: in}
	if err := db.reach(ctx); err != nil {
		return nil, err
	}
	// Before the pools, so that the connections never exceed their sum.
	if err := migrateWith(ctx, "pgx", db.url, goosedb.DialectPostgres, o.Schema, "postgres"); err != nil {
		return nil, fmt.Errorf("bring the schema up to date: %w", err)
	}
	most, kept := db.options.Size+db.options.Overflow, db.options.Size
	if most > 1 {
		most, kept = most-1, min(kept-1, most-1)
		pool, err := db.connect(ctx, db.url, 1, 1)
		if err != nil {
			return nil, err
		}
		db.apart = leasedPool{pool: pool, leases: newLedger(1, "the connection kept apart: limit of 1", in.watch, in.observer)}
	}
	pool, err := db.connect(ctx, db.url, kept, most)
	if err != nil {
		db.apart.close()
		return nil, err
	}
	limit := fmt.Sprintf("pool limit of size %d overflow %d", db.options.Size, db.options.Overflow)
	db.main = leasedPool{pool: pool, leases: newLedger(most, limit, in.watch, in.observer)}
	db.main.leases.kept = kept
	db.main.breaker = newBreaker(db.ping, db.converted)
	db.apart.breaker = db.main.breaker
	if err := db.openReplicas(ctx, o.ReadURLs); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

// reach says in a few words what is wrong with the URL or the server behind it.
func (db *postgresDB) reach(ctx context.Context) error {
	c, err := pgx.ParseConfig(db.url)
	if err != nil {
		return errors.New("database URL: not one that PostgreSQL's drivers know, such as postgres://user:password@host/name")
	}
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return conn.Close(ctx)
}

func (db *postgresDB) connect(ctx context.Context, url string, kept, most int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database URL: not one that PostgreSQL's drivers know, such as postgres://user:password@host/name")
	}
	c.MinConns, c.MaxConns = int32(max(kept, 0)), int32(most)
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = db.options.MaxLifetime, db.options.MaxLifetime/10
	c.MaxConnIdleTime, c.HealthCheckPeriod = db.options.MaxIdleTime, max(db.options.MaxIdleTime/4, 250*time.Millisecond)
	c.PingTimeout = pingTimeout
	c.ConnConfig.ConnectTimeout = connectTimeout
	// What is cut off is cancelled on the server, and its connection lives on.
	c.ConnConfig.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: cancelGrace}
	}
	c.AfterConnect = func(context.Context, *pgx.Conn) error { db.opened.Add(1); return nil }
	c.BeforeClose = func(*pgx.Conn) { db.closed.Add(1) }
	set := func(name, value string) {
		if _, given := c.ConnConfig.RuntimeParams[name]; !given {
			c.ConnConfig.RuntimeParams[name] = value
		}
	}
	hard := db.watch.hard.Milliseconds()
	set("application_name", "chowk")
	set("jit", "off") // it can cost a CPU second for a new connection's first query
	// Nearly all are on disks that seek quickly, or in memory; see TestACommitReadsOnlyTheChannelsItIsAbout.
	set("random_page_cost", "1.1")
	// The server ends by itself what this process cannot cancel any more.
	set("statement_timeout", fmt.Sprint(hard+cancelGrace.Milliseconds()))
	set("idle_in_transaction_session_timeout", fmt.Sprint(2*hard))
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

func (*postgresDB) kind() string { return "postgres" }

func (db *postgresDB) durability(ctx context.Context) (class string, err error) {
	err = db.read(ctx, "durability", func(c Conn) error {
		return Query(c, `-- name: durability
			SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes'),
			current_setting('synchronous_standby_names')`, func(r Row) error {
			var commit, fsync, pages, standbys string
			err := r.Scan(&commit, &fsync, &pages, &standbys)
			class = postgresDurability(commit, fsync, pages, standbys)
			return err
		})
	})
	return class, err
}

// history is the cluster and its timeline, where we may ask: a fail-over begins
// another timeline.
func (db *postgresDB) history(ctx context.Context) (history string, err error) {
	err = db.read(ctx, "identity", func(c Conn) error {
		return Query(c, `-- name: identity
			SELECT '-' || s.system_identifier || '-' || c.timeline_id FROM pg_control_system() s, pg_control_checkpoint() c`,
			func(r Row) error { return r.Scan(&history) })
	})
	if isCode(err, "42501") {
		return "", nil
	}
	return history, err
}

// optional is the lender for what must not wait for the others.
func (db *postgresDB) optional() leasedPool {
	if db.apart.pool == nil {
		return db.main
	}
	return db.apart
}

func (db *postgresDB) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ask := func() error {
		return db.lend(ctx, "ping", db.optional(), pingTimeout, func(c *postgresConn) error {
			return Query(c, "-- name: ping\nSELECT 1", func(Row) error { return nil })
		})
	}
	err := ask()
	if err != nil && again(err) && ctx.Err() == nil {
		err = ask() // the connection was cut: that says nothing of the next
	}
	return err
}

func (db *postgresDB) reserved(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.optional(), db.options.Wait, func(c *postgresConn) error { return c.all(f) })
}

// converted says that the database went away or came back.
func (db *postgresDB) converted(open bool) {
	if open {
		db.watch.log.Error("the database does not answer: work is refused until it does")
	} else {
		db.watch.log.Info("the database answers again")
	}
}

func (db *postgresDB) stats() PoolStats {
	stat := db.main.pool.Stat()
	s := PoolStats{
		Size: db.options.Size, Overflow: db.options.Overflow, Most: int(stat.MaxConns()), Unreachable: db.main.breaker.isOpen(),
		Idle: int(stat.IdleConns()), Constructing: int(stat.ConstructingConns()), Opened: db.opened.Load(), Closed: db.closed.Load(),
	}
	s.add(db.main.leases)
	for _, r := range db.replicas {
		s.Replicas = append(s.Replicas, r.stats())
	}
	return s
}

func (l leasedPool) close() {
	if l.pool != nil {
		l.pool.Close()
	}
}

func (db *postgresDB) close() error {
	db.main.breaker.close()
	for _, r := range db.replicas {
		r.breaker.close()
		r.close()
	}
	db.main.close()
	db.apart.close()
	return nil
}
