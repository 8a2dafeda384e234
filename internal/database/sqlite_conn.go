package database

import (
	"context"
	"errors"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

// sqliteConn executes statements as they are queued: there is no round trip to save.
type sqliteConn struct {
	unit   string
	raw    *sqlite.Conn
	failed error // of a queued statement, until Flush
	done   []execution
}

// Queue is documented at Conn.
func (c *sqliteConn) Queue(sql string, args []any, each func(Row) error) {
	if c.failed != nil {
		return
	}
	start, text := time.Now(), sqliteText(sql, args)
	rows, err := c.run(text, args, each)
	c.record(text, start, rows, err)
}

// record records a statement and its error.
func (c *sqliteConn) record(sql string, begun time.Time, rows int64, err error) {
	e := newExecution(c.unit, []string{statementName(sql)}, sql)
	e.begun, e.took, e.rows, e.err = begun, time.Since(begun), rows, err
	c.done = append(c.done, e)
	c.failed = err
}

// Flush is documented at Conn.
func (c *sqliteConn) Flush() error {
	err := c.failed
	c.failed = nil
	return err
}

// run executes a statement. It returns the number of rows returned, or changed when
// each is nil.
func (c *sqliteConn) run(sql string, args []any, each func(Row) error) (rows int64, err error) {
	stmt, err := c.raw.Prepare(sql)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stmt.Reset()) }()
	for i, a := range args {
		if err := bind(stmt, i+1, a); err != nil {
			return 0, err
		}
	}
	for {
		more, err := stmt.Step()
		if err != nil {
			return rows, err
		}
		if !more && each == nil {
			return int64(c.raw.Changes()), nil
		}
		if !more {
			return rows, nil
		}
		rows++
		if each != nil {
			if err := each(sqliteRow{stmt}); err != nil {
				return rows, err
			}
		}
	}
}

// transaction runs f between begin and a commit.
func (c *sqliteConn) transaction(begin string, f func(Conn) error) error {
	err := Exec(c, begin)
	if err != nil {
		return err
	}
	if err = f(c); err == nil {
		err = c.Flush()
	}
	if err == nil {
		if err = Exec(c, commitSQL); err == nil {
			return nil
		}
	}
	c.failed = nil
	if !c.raw.AutocommitEnabled() {
		c.raw.SetInterrupt(nil) // roll back even when the unit's time is over
		err = errors.Join(err, Exec(c, rollbackSQL))
	}
	return err
}

// planColumn is the text in a row of EXPLAIN QUERY PLAN.
const planColumn = 3

func (db *sqliteDB) explain(ctx context.Context, sql string) (plan string, err error) {
	err = db.lend(ctx, "explain", db.apart, explainTimeout, func(c *sqliteConn) error {
		var lines []string
		_, text, _ := strings.Cut(sql, "\n")
		c.Queue("-- name: explain\nEXPLAIN QUERY PLAN "+text, nil, func(r Row) error {
			s, _ := r.(sqliteRow)
			lines = append(lines, s.stmt.ColumnText(planColumn))
			return nil
		})
		plan = strings.Join(lines, "\n")
		return c.Flush()
	})
	return plan, err
}
