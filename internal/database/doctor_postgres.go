package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// examineTimeout bounds each statement.
const examineTimeout = 8 * time.Second

func examinePostgres(
	ctx context.Context, schema fs.FS, url string, read func(Conn, int64) error,
) (x Examination, err error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return x, fmt.Errorf("database URL: %w", errURL)
	}
	c.ConnectTimeout = connectTimeout
	c.RuntimeParams["application_name"] = "chowk-doctor"
	c.RuntimeParams["statement_timeout"] = strconv.FormatInt(examineTimeout.Milliseconds(), 10)
	db, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return x, shortError(err)
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	x = Examination{
		Kind: "postgres", SchemaNewest: newestVersion(schema, "postgres"), Settings: make(map[string]string),
	}
	for _, examine := range []func(context.Context, *pgx.Conn, *Examination) error{
		examineServer, examineClock, examineSchema, examineReplicas, examineSessions, examineFlush,
	} {
		if err := examine(ctx, db, &x); err != nil {
			return x, shortError(err)
		}
	}
	if err := read(&postgresConn{unit: "examine", ctx: ctx, raw: db}, x.SchemaVersion); err != nil {
		return x, shortError(err)
	}
	return x, nil
}

// shortError returns why PostgreSQL could not be queried. The driver's text repeats the
// address and the user.
func shortError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return errors.New(pg.Message)
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return errors.New("no connection: " + errors.Unwrap(connect).Error())
	}
	return err
}

// durabilitySettings are the columns of postgresSettings.
const durabilitySettings = `current_setting('synchronous_commit'), current_setting('fsync'),
	current_setting('full_page_writes'), current_setting('synchronous_standby_names')`

// postgresSettings decide what a commit survives.
type postgresSettings struct{ commit, fsync, pages, standbys string }

func (s *postgresSettings) into() []any { return []any{&s.commit, &s.fsync, &s.pages, &s.standbys} }

// durability returns what DB.Durability documents.
func (s postgresSettings) durability() string {
	switch {
	case s.fsync != "on" || s.pages != "on" || s.commit == "off":
		return "os"
	case s.standbys != "" && (s.commit == "on" || s.commit == "remote_apply"):
		return "replica"
	default:
		return "disk"
	}
}

func examineServer(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var s postgresSettings
	var reserved int
	err := db.QueryRow(ctx, `SELECT `+durabilitySettings+`,
			current_setting('server_version'), pg_is_in_recovery(), current_setting('max_connections')::int,
			current_setting('superuser_reserved_connections')::int +
				COALESCE(current_setting('reserved_connections', true), '0')::int,
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
			pg_database_size(current_database())`).
		Scan(append(s.into(), &x.Version, &x.Standby, &x.ConnectionsMax, &reserved, &x.Connections, &x.Bytes)...)
	x.ConnectionsMax -= reserved
	x.Settings["synchronous_commit"], x.Settings["fsync"], x.Settings["full_page_writes"] = s.commit, s.fsync, s.pages
	x.Settings["synchronous_standby_names"] = s.standbys
	x.Durability = s.durability()
	return err
}

func examineClock(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var theirs time.Time
	start := time.Now()
	err := db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs)
	trip := time.Since(start)
	x.ClockOffset, x.ClockError = theirs.Sub(start.Add(trip/2)), trip/2
	return err
}

func examineSchema(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var exists bool
	err := db.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&exists)
	if err != nil || !exists {
		return err
	}
	return db.QueryRow(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied").
		Scan(&x.SchemaVersion)
}

func examineReplicas(ctx context.Context, db *pgx.Conn, x *Examination) error {
	if x.Standby {
		return nil
	}
	rows, err := db.Query(ctx, `SELECT COALESCE(NULLIF(application_name, ''), 'unnamed'),
			COALESCE(state, ''), COALESCE(sync_state, ''),
			COALESCE(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint,
			COALESCE(extract(epoch FROM replay_lag), 0)::float8
		FROM pg_stat_replication ORDER BY 1`)
	if err != nil {
		return err
	}
	x.Replicas, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (replica Replica, err error) {
		var lag float64
		err = r.Scan(&replica.Name, &replica.State, &replica.Sync, &replica.LagBytes, &lag)
		replica.Lag = time.Duration(lag * float64(time.Second))
		return replica, err
	})
	return err
}

// longSession is how long a transaction or statement is open before it is reported.
const longSession = time.Second

func examineSessions(ctx context.Context, db *pgx.Conn, x *Examination) error {
	rows, err := db.Query(ctx, `SELECT pid, COALESCE(application_name, ''), COALESCE(usename, ''),
			COALESCE(host(client_addr), 'local'), COALESCE(state, ''), COALESCE(query, ''),
			COALESCE(extract(epoch FROM clock_timestamp() - COALESCE(xact_start, query_start)), 0)::float8,
			pg_blocking_pids(pid)::bigint[]
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
		ORDER BY xact_start LIMIT 10000`)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, scanSession)
	blocks := make(map[int64]int)
	for _, s := range all {
		x.Limited = x.Limited || s.State == ""
		for _, pid := range s.BlockedBy {
			blocks[pid]++
		}
	}
	for _, s := range all {
		s.Blocks = blocks[s.PID]
		isLong := s.State != "idle" && s.State != "" && s.For > longSession
		if s.Blocks > 0 || len(s.BlockedBy) > 0 || isLong {
			x.Sessions = append(x.Sessions, s)
		}
	}
	return err
}

func scanSession(r pgx.CollectableRow) (s Session, err error) {
	var query string
	var age float64
	err = r.Scan(&s.PID, &s.Application, &s.User, &s.Client, &s.State, &query, &age, &s.BlockedBy)
	s.For = time.Duration(age * float64(time.Second))
	if query != "" {
		s.Statement = summary(query)
	}
	return s, err
}

// examineFlush times commits of a logical message to the write-ahead log. It needs no
// table, leaves nothing behind, and no one reads the message.
func examineFlush(ctx context.Context, db *pgx.Conn, x *Examination) (err error) {
	if x.Standby {
		return nil
	}
	x.Flush, err = timeFlushes(func() error {
		_, err := db.Exec(ctx, "SELECT pg_logical_emit_message(true, 'chowk-doctor', 'flush')")
		return err
	})
	if isCode(err, insufficientPrivilege) {
		return nil // it remains unknown
	}
	return err
}
