package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// examineTimeout bounds each look.
const examineTimeout = 8 * time.Second

func examinePostgres(ctx context.Context, schema fs.FS, url string) (x Examination, err error) {
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return x, errors.New("database URL: not one that PostgreSQL's drivers know, such as postgres://user:password@host/name")
	}
	c.ConnectTimeout = connectTimeout
	c.RuntimeParams["application_name"] = "chowk-doctor"
	c.RuntimeParams["statement_timeout"] = fmt.Sprint(examineTimeout.Milliseconds())
	db, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return x, shortError(err)
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	x = Examination{Kind: "postgres", SchemaNewest: newestMigration(schema, "postgres"), Settings: make(map[string]string)}
	for _, look := range []func(context.Context, *pgx.Conn, *Examination) error{
		lookAtServer, lookAtClock, lookAtSchema, lookAtReplicas, lookAtSessions, lookAtFlush, lookAtNodes,
	} {
		if err := look(ctx, db, &x); err != nil {
			return x, shortError(err)
		}
	}
	return x, nil
}

// shortError says in a few words why PostgreSQL could not be asked. The driver's text
// repeats the address and the user.
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

func lookAtServer(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var commit, fsync, pages, standbys string
	var reserved int
	err := db.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync'),
			current_setting('full_page_writes'), current_setting('synchronous_standby_names'), pg_is_in_recovery(),
			current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int + COALESCE(current_setting('reserved_connections', true), '0')::int,
			(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), pg_database_size(current_database())`).
		Scan(&x.Version, &commit, &fsync, &pages, &standbys, &x.Standby, &x.ConnectionsMax, &reserved, &x.Connections, &x.Bytes)
	x.ConnectionsMax -= reserved
	x.Settings["synchronous_commit"], x.Settings["fsync"], x.Settings["full_page_writes"] = commit, fsync, pages
	x.Settings["synchronous_standby_names"] = standbys
	x.Durability = postgresDurability(commit, fsync, pages, standbys)
	return err
}

// postgresDurability says what a commit means under these settings.
func postgresDurability(commit, fsync, pages, standbys string) string {
	switch {
	case fsync != "on" || pages != "on" || commit == "off":
		return "os"
	case standbys != "" && (commit == "on" || commit == "remote_apply"):
		return "replica"
	default:
		return "disk"
	}
}

func lookAtClock(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var theirs time.Time
	start := time.Now()
	err := db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs)
	trip := time.Since(start)
	x.ClockOffset, x.ClockError = theirs.Sub(start.Add(trip/2)), trip/2
	return err
}

func lookAtSchema(ctx context.Context, db *pgx.Conn, x *Examination) error {
	var there bool
	err := db.QueryRow(ctx, "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&there)
	if err == nil && there {
		err = db.QueryRow(ctx, "SELECT COALESCE(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&x.SchemaVersion)
	}
	return err
}

func lookAtReplicas(ctx context.Context, db *pgx.Conn, x *Examination) error {
	if x.Standby {
		return nil
	}
	rows, err := db.Query(ctx, `SELECT COALESCE(NULLIF(application_name, ''), 'unnamed'), COALESCE(state, ''), COALESCE(sync_state, ''),
		COALESCE(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::bigint, COALESCE(extract(epoch FROM replay_lag), 0)::float8
		FROM pg_stat_replication ORDER BY 1`)
	if err != nil {
		return err
	}
	x.Replicas, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Replica, err error) {
		var lag float64
		err = row.Scan(&r.Name, &r.State, &r.Sync, &r.LagBytes, &lag)
		r.Lag = time.Duration(lag * float64(time.Second))
		return r, err
	})
	return err
}

// oddSession is how long a transaction or statement is open before it is told of.
const oddSession = time.Second

func lookAtSessions(ctx context.Context, db *pgx.Conn, x *Examination) error {
	rows, err := db.Query(ctx, `SELECT pid, COALESCE(application_name, ''), COALESCE(usename, ''), COALESCE(host(client_addr), 'local'), COALESCE(state, ''), COALESCE(query, ''),
		COALESCE(extract(epoch FROM clock_timestamp() - COALESCE(xact_start, query_start)), 0)::float8, pg_blocking_pids(pid)::bigint[]
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' ORDER BY xact_start LIMIT 10000`)
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Session, err error) {
		var query string
		var age float64
		err = row.Scan(&s.PID, &s.Application, &s.User, &s.Client, &s.State, &query, &age, &s.BlockedBy)
		s.For = time.Duration(age * float64(time.Second))
		if query != "" {
			s.Statement = inShort(query)
		}
		return s, err
	})
	blocks := make(map[int64]int)
	for _, s := range all {
		x.Limited = x.Limited || s.State == ""
		for _, pid := range s.BlockedBy {
			blocks[pid]++
		}
	}
	for _, s := range all {
		s.Blocks = blocks[s.PID]
		if s.Blocks > 0 || len(s.BlockedBy) > 0 || s.State != "idle" && s.State != "" && s.For > oddSession {
			x.Sessions = append(x.Sessions, s)
		}
	}
	return err
}

// lookAtFlush times commits of a message to the log that means nothing to anybody:
// it needs no table and leaves none.
func lookAtFlush(ctx context.Context, db *pgx.Conn, x *Examination) (err error) {
	if x.Standby {
		return nil
	}
	x.Flush, err = timed(flushes, func() error {
		_, err := db.Exec(ctx, "SELECT pg_logical_emit_message(true, 'chowk-doctor', 'flush')")
		return err
	})
	if isCode(err, "42501") { // the role may not: then it is not known
		return nil
	}
	return err
}

// nodesSince is the version of the schema from which on nodes note themselves.
const nodesSince = 3

func lookAtNodes(ctx context.Context, db *pgx.Conn, x *Examination) error {
	if x.SchemaVersion < nodesSince {
		return nil
	}
	if err := db.QueryRow(ctx, "SELECT value FROM meta WHERE name = 'relay_space'").Scan(&x.NodesSpace); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	rows, err := db.Query(ctx, "SELECT id, version FROM nodes")
	if err != nil {
		return err
	}
	x.Nodes = make(map[string]string)
	var id, version string
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
		x.Nodes[id] = version
		return nil
	})
	return err
}
