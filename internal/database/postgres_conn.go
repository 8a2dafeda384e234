package database

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresConn sends queued statements as one pipeline.
type postgresConn struct {
	unit  string
	ctx   context.Context //nolint:containedctx // of the unit that has the connection
	raw   *pgx.Conn
	batch pgx.Batch
	names []string
	sql   string // of the last statement that is not about the transaction
	rows  int64
	done  []execution
}

// Queue is documented at Conn.
func (c *postgresConn) Queue(sql string, args []any, each func(Row) error) {
	name := statementName(sql)
	if name != beginName && name != commitName {
		c.sql = sql
	}
	c.names = append(c.names, name)
	q := c.batch.Queue(sql, postgresArgs(args)...)
	if each == nil {
		q.Exec(func(tag pgconn.CommandTag) error {
			c.rows += tag.RowsAffected()
			return nil
		})
		return
	}
	q.Query(func(rows pgx.Rows) error {
		for rows.Next() {
			c.rows++
			if err := each(postgresRow{rows}); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// Flush is documented at Conn.
func (c *postgresConn) Flush() error {
	if c.batch.Len() == 0 {
		return nil
	}
	start := time.Now()
	err := c.raw.SendBatch(c.ctx, &c.batch).Close()
	e := newExecution(c.unit, c.names, c.sql)
	e.begun, e.took, e.rows, e.err = start, time.Since(start), c.rows, err
	c.done = append(c.done, e)
	c.batch, c.names, c.rows = pgx.Batch{}, nil, 0
	return err
}

// run runs f and flushes.
func (c *postgresConn) run(f func(Conn) error) error {
	err := f(c)
	if err == nil {
		err = c.Flush()
	}
	return err
}

// transaction runs f in a transaction. It sets committing once the COMMIT may have
// reached the server.
func (c *postgresConn) transaction(f func(Conn) error, committing *bool) error {
	c.Queue(beginSQL, nil, nil)
	err := f(c)
	if err == nil {
		*committing = true
		c.Queue(commitSQL, nil, nil)
		err = c.Flush()
	}
	if err != nil {
		c.rollback()
	}
	return err
}

// rollback ends a failed transaction even when the unit's ctx has ended. The pool
// closes a connection on which that fails.
func (c *postgresConn) rollback() {
	if c.raw.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), pingTimeout)
	defer cancel()
	if _, err := c.raw.Exec(ctx, rollbackSQL); err != nil {
		_ = c.raw.Close(ctx)
	}
}

// explain returns the generic plan. It shows $1 where a custom plan would show the
// value, which belongs to a user.
func (db *postgresDB) explain(ctx context.Context, sql string) (plan string, err error) {
	err = db.lend(ctx, "explain", db.reservedPool(), explainTimeout, func(c *postgresConn) error {
		results, err := c.raw.PgConn().Exec(c.ctx, explainScript(sql)).ReadAll()
		if err != nil {
			_, undo := c.raw.PgConn().Exec(c.ctx, "ROLLBACK; DEALLOCATE ALL").ReadAll()
			return errors.Join(err, undo)
		}
		var lines []string
		for _, r := range results {
			for _, values := range r.Rows {
				lines = append(lines, string(values[0]))
			}
		}
		plan = strings.Join(lines, "\n")
		return nil
	})
	return plan, err
}

// parameter matches $1 and so on.
var parameter = regexp.MustCompile(`\$(\d+)`)

// explainScript explains sql with NULL for each of its parameters.
func explainScript(sql string) string {
	parameters := 0
	for _, m := range parameter.FindAllStringSubmatch(sql, -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		parameters = max(parameters, n)
	}
	values := ""
	if parameters > 0 {
		values = "(NULL" + strings.Repeat(", NULL", parameters-1) + ")"
	}
	return fmt.Sprintf(`BEGIN;
		SET LOCAL statement_timeout = %d;
		SET LOCAL plan_cache_mode = force_generic_plan;
		PREPARE chowk_explain AS %s;
		EXPLAIN EXECUTE chowk_explain%s;
		DEALLOCATE chowk_explain;
		COMMIT`, explainTimeout.Milliseconds(), sql, values)
}
