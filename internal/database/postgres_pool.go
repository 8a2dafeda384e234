package database

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

// cancelGrace is how long a server may take to cancel a statement before the
// connection is closed.
const cancelGrace = 500 * time.Millisecond

// newPool returns a pool with keptOpen connections, and up to size under load.
func (db *postgresDB) newPool(ctx context.Context, url string, keptOpen, size int) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", errURL)
	}
	c.MinConns, c.MaxConns = int32(max(keptOpen, 0)), int32(size)
	c.MaxConnLifetime, c.MaxConnLifetimeJitter = db.options.MaxLifetime, db.options.MaxLifetime/10
	c.MaxConnIdleTime = db.options.MaxIdleTime
	c.HealthCheckPeriod = max(db.options.MaxIdleTime/4, 250*time.Millisecond)
	c.PingTimeout = pingTimeout
	c.ConnConfig.ConnectTimeout = connectTimeout
	// A statement that is cut off is cancelled on the server, so that the connection
	// survives.
	c.ConnConfig.BuildContextWatcherHandler = func(pc *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: pc, DeadlineDelay: cancelGrace}
	}
	c.AfterConnect = func(context.Context, *pgx.Conn) error { db.opened.Add(1); return nil }
	c.BeforeClose = func(*pgx.Conn) { db.closed.Add(1) }
	db.setParameters(c.ConnConfig.RuntimeParams)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	return pool, nil
}

// setParameters sets the session parameters that the URL does not.
func (db *postgresDB) setParameters(params map[string]string) {
	hard := db.holdHard.Milliseconds()
	for name, value := range map[string]string{
		"application_name": "chowk",
		"jit":              "off", // it can cost a second of CPU for a connection's first query
		// Nearly all databases are on disks that seek quickly, or in memory. See the
		// store's TestACommitReadsOnlyTheChannelsItIsAbout.
		"random_page_cost": "1.1",
		// The server ends what this process can no longer cancel.
		"statement_timeout":                   strconv.FormatInt(hard+cancelGrace.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": strconv.FormatInt(2*hard, 10),
	} {
		if _, given := params[name]; !given {
			params[name] = value
		}
	}
}
