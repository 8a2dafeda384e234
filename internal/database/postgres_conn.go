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

// postgresConn pipelines what is queued.
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

func (c *postgresConn) Queue(sql string, args []any, each func(Row) error) {
	name := statementName(sql)
	if name != beginName && name != commitName {
		c.sql = sql
	}
	c.names = append(c.names, name)
	q := c.batch.Queue(sql, forPostgres(args)...)
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

// rollback ends a transaction that failed, whatever became of the unit's ctx. A
// connection on which that fails is closed by the pool.
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

// parameter finds $1 and its like.
var parameter = regexp.MustCompile(`\$(\d+)`)

// explain asks for the generic plan: it shows $1 where a custom one would show the
// value, which is a user's.
func (db *postgresDB) explain(ctx context.Context, sql string) (plan string, err error) {
	parameters := 0
	for _, m := range parameter.FindAllStringSubmatch(sql, -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		parameters = max(parameters, n)
	}
	execute := "chowk_explain"
	if parameters > 0 {
		execute += "(NULL" + strings.Repeat(", NULL", parameters-1) + ")"
	}
	text := fmt.Sprintf("BEGIN; SET LOCAL statement_timeout = %d; SET LOCAL plan_cache_mode = force_generic_plan; PREPARE chowk_explain AS %s; EXPLAIN EXECUTE %s; DEALLOCATE chowk_explain; COMMIT",
		explainTimeout.Milliseconds(), sql, execute)
	err = db.lend(ctx, "explain", db.optional(), explainTimeout, func(c *postgresConn) error {
		results, err := c.raw.PgConn().Exec(c.ctx, text).ReadAll()
		if err != nil {
			_, undo := c.raw.PgConn().Exec(c.ctx, "ROLLBACK; DEALLOCATE ALL").ReadAll()
			return errors.Join(err, undo)
		}
		var lines []string
		for _, r := range results {
			for _, row := range r.Rows {
				lines = append(lines, string(row[0]))
			}
		}
		plan = strings.Join(lines, "\n")
		return nil
	})
	return plan, err
}
