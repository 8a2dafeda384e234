package oldways

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database is a schema within an existing database, dropped at the end, with a
// connection that watches the other connections.
type Database struct {
	given  string
	schema string
	conn   *pgx.Conn
}

const closeTimeout = 10 * time.Second

// Open creates the schema. Its name must not need quotes.
func Open(ctx context.Context, databaseURL, schema string) (*Database, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	d := &Database{given: databaseURL, schema: schema, conn: conn}
	if _, err := conn.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()); err != nil {
		return nil, errors.Join(fmt.Errorf("create a schema: %w", err), conn.Close(ctx))
	}
	return d, nil
}

// URL returns a URL of the schema; application identifies its user.
func (d *Database) URL(application string) (string, error) {
	u, err := url.Parse(d.given)
	if err != nil {
		return "", fmt.Errorf("parse the database URL: %w", err)
	}
	q := u.Query()
	q.Set("application_name", application)
	q.Set("search_path", d.schema)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Prepare creates the old server's tables, and a channel with members.
func (d *Database) Prepare(ctx context.Context, channel string, members []string) error {
	schema := pgx.Identifier{d.schema}.Sanitize()
	for _, sql := range []string{
		`CREATE TABLE ` + schema +
			`.channel_members (channel_id uuid NOT NULL, user_id text NOT NULL, PRIMARY KEY (channel_id, user_id))`,
		`CREATE TABLE ` + schema +
			`.channel_messages (id uuid PRIMARY KEY, channel_id uuid NOT NULL, user_id text NOT NULL,
			content text NOT NULL, created_at timestamptz NOT NULL)`,
		`CREATE INDEX ON ` + schema + `.channel_messages (channel_id, created_at)`,
	} {
		if _, err := d.conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("create the tables: %w", err)
		}
	}
	_, err := d.conn.Exec(ctx, `INSERT INTO `+schema+`.channel_members SELECT $1, unnest($2::text[])`, channel, members)
	if err != nil {
		return fmt.Errorf("create the channel: %w", err)
	}
	return nil
}

// Connections returns how many connections an application has, and how many of them are
// in use: in a statement or in a transaction.
func (d *Database) Connections(ctx context.Context, application string) (open, inUse int, err error) {
	err = d.conn.QueryRow(ctx,
		`SELECT count(*), count(*) FILTER (WHERE state <> 'idle') FROM pg_stat_activity WHERE application_name = $1`,
		application).Scan(&open, &inUse)
	if err != nil {
		return 0, 0, fmt.Errorf("count connections: %w", err)
	}
	return open, inUse, nil
}

// Close drops the schema.
func (d *Database) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_, err := d.conn.Exec(ctx, "DROP SCHEMA "+pgx.Identifier{d.schema}.Sanitize()+" CASCADE")
	if err != nil {
		err = fmt.Errorf("drop the schema %s: %w", d.schema, err)
	}
	return errors.Join(err, d.conn.Close(ctx))
}

// Schemas counts the schemas whose names begin with a prefix.
func (d *Database) Schemas(ctx context.Context, prefix string) (n int, err error) {
	err = d.conn.QueryRow(ctx, `SELECT count(*) FROM pg_namespace WHERE starts_with(nspname, $1)`, prefix).Scan(&n)
	return n, err
}
