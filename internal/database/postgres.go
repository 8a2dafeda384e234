package database

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goosedb "github.com/pressly/goose/v3/database"
)

// postgresDB is PostgreSQL: a pool for units of work, a connection kept apart for
// health checks and administrators, and a pool for each replica.
type postgresDB struct {
	url     string
	options Pool
	common
	main     leasedPool
	apart    leasedPool // without a pool when there is one connection in all
	replicas []*replica
	next     atomic.Uint64 // replica, modulo their number

	opened, closed atomic.Int64
}

// leasedPool lends the connections of a pool.
type leasedPool struct {
	pool    *pgxpool.Pool
	leases  *leases
	breaker *breaker
	// optional means that units refused here are done elsewhere.
	optional bool
}

const (
	connectTimeout = 3 * time.Second
	pingTimeout    = time.Second
)

var errURL = errors.New("not a valid PostgreSQL URL, such as postgres://user:password@host/name")

func openPostgres(ctx context.Context, o Options, c common) (*postgresDB, error) {
	db := &postgresDB{url: o.URL, options: o.Pool.WithDefaults(), common: c}
	if err := db.checkReachable(ctx); err != nil {
		return nil, err
	}
	// Migrate before the pools open, so that the connections never exceed their sum.
	if err := migrate(ctx, o.Schema, "postgres", "pgx", db.url, goosedb.DialectPostgres); err != nil {
		return nil, fmt.Errorf("bring the schema up to date: %w", err)
	}
	if err := db.openPools(ctx); err != nil {
		return nil, err
	}
	if err := db.openReplicas(ctx, o.ReadURLs); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

// checkReachable returns a short error when the URL or the server does not work.
func (db *postgresDB) checkReachable(ctx context.Context) error {
	c, err := pgx.ParseConfig(db.url)
	if err != nil {
		return fmt.Errorf("database URL: %w", errURL)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*connectTimeout)
	defer cancel()
	raw, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return raw.Close(ctx)
}

// openPools opens the main pool and, unless there is one connection in all, the
// connection kept apart.
func (db *postgresDB) openPools(ctx context.Context) error {
	size, keptOpen := db.options.Size+db.options.Overflow, db.options.Size
	if size > 1 {
		size, keptOpen = size-1, keptOpen-1
		pool, err := db.newPool(ctx, db.url, 1, 1)
		if err != nil {
			return err
		}
		db.apart = leasedPool{pool: pool, leases: newLeases(1, "limit of 1 connection kept apart", db.common)}
	}
	pool, err := db.newPool(ctx, db.url, keptOpen, size)
	if err != nil {
		db.apart.close()
		return err
	}
	limit := fmt.Sprintf("pool limit of size %d overflow %d", db.options.Size, db.options.Overflow)
	db.main = leasedPool{pool: pool, leases: newLeases(size, limit, db.common)}
	db.main.leases.keptOpen = keptOpen
	db.main.breaker = newBreaker(db.ping, db.logReachable)
	db.apart.breaker = db.main.breaker
	return nil
}

func (*postgresDB) kind() string { return "postgres" }

func (db *postgresDB) durability(ctx context.Context) (class string, err error) {
	err = db.read(ctx, "durability", func(c Conn) error {
		return Query(c, NameMark+"durability\nSELECT "+durabilitySettings, func(r Row) error {
			var s postgresSettings
			err := r.Scan(s.into()...)
			class = s.durability()
			return err
		})
	})
	return class, err
}

// history returns the cluster and its timeline, if the role may read them. A fail-over
// begins another timeline.
func (db *postgresDB) history(ctx context.Context) (history string, err error) {
	err = db.read(ctx, "identity", func(c Conn) error {
		return Query(c, `-- name: identity
			SELECT '-' || s.system_identifier || '-' || c.timeline_id
			FROM pg_control_system() s, pg_control_checkpoint() c`,
			func(r Row) error { return r.Scan(&history) })
	})
	if isCode(err, insufficientPrivilege) {
		return "", nil
	}
	return history, err
}

// reservedPool is for what must not wait for the main pool.
func (db *postgresDB) reservedPool() leasedPool {
	if db.apart.pool == nil {
		return db.main
	}
	return db.apart
}

func (db *postgresDB) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	ping := func() error {
		return db.lend(ctx, "ping", db.reservedPool(), pingTimeout, (*postgresConn).ping)
	}
	err := ping()
	if err != nil && retryable(err) && ctx.Err() == nil {
		err = ping() // a connection was cut: the next one may work
	}
	return err
}

func (c *postgresConn) ping() error {
	return Query(c, "-- name: ping\nSELECT 1", func(Row) error { return nil })
}

func (db *postgresDB) reserved(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.reservedPool(), db.options.RequestTimeout, func(c *postgresConn) error {
		return c.run(f)
	})
}

// logReachable logs that the breaker has opened or closed.
func (db *postgresDB) logReachable(open bool) {
	if open {
		db.log.Error("the database does not answer: work is refused until it does")
	} else {
		db.log.Info("the database answers again")
	}
}

func (db *postgresDB) stats() PoolStats {
	stat := db.main.pool.Stat()
	s := PoolStats{
		Size: db.options.Size, Overflow: db.options.Overflow, Max: int(stat.MaxConns()),
		Idle: int(stat.IdleConns()), Opening: int(stat.ConstructingConns()),
		Opened: db.opened.Load(), Closed: db.closed.Load(), Unreachable: db.main.breaker.isOpen(),
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
