package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/chowk-chat/chowk/internal/async"
)

func (db *postgresDB) read(ctx context.Context, unit string, f func(Conn) error) error {
	return db.use(ctx, unit, func(c *postgresConn) error { return c.all(f) })
}

// all runs f and sends what it has left to send.
func (c *postgresConn) all(f func(Conn) error) error {
	err := f(c)
	if err == nil {
		err = c.Flush()
	}
	return err
}

// write tries again what was rolled back by no fault of its own: a deadlock with
// another node, a connection that was cut, a row that somebody else inserted in
// the meantime. Because of the last, and because a cut connection may have
// committed, f always looks first. What has never begun is refused at once: its
// sender knows best whether to try again.
func (db *postgresDB) write(ctx context.Context, unit string, f func(Conn) error) error {
	doubt := false // an attempt may have committed
	for attempt := 1; ; attempt++ {
		committing := false
		err := db.use(ctx, unit, func(c *postgresConn) error { return c.transaction(f, &committing) })
		if err == nil {
			return nil
		}
		doubt = doubt || committing && errors.Is(err, ErrUnavailable)
		retry := again(err)
		if isCode(err, "23505") && attempt >= 4 {
			retry = false // nobody's race goes on for so long: it offends by itself
		}
		if errors.Is(err, ErrNotBegun) {
			retry = doubt
		}
		if !retry || attempt == 100 || !async.Sleep(ctx, time.Duration(min(attempt*attempt, 200))*time.Millisecond) {
			if doubt {
				err = outcomeUnknown(err)
			}
			return err
		}
	}
}

// transaction runs f; committing is set when its COMMIT is on its way.
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

func (db *postgresDB) use(ctx context.Context, unit string, f func(*postgresConn) error) error {
	if db.main.breaker.isOpen() {
		db.observer.Refused(unit, "circuit_open")
		return fmt.Errorf("%s: %w", unit, Unavailable(fmt.Errorf("the database has not answered lately: %w", ErrNotBegun)))
	}
	return db.lend(ctx, unit, db.main, db.options.waitFor(ctx), f)
}

// lend borrows a connection for f and gives it back. Nothing is logged or counted
// before that: no connection is held while anything but the database is waited for.
func (db *postgresDB) lend(ctx context.Context, unit string, from leasedPool, wait time.Duration, f func(*postgresConn) error) error {
	asked := time.Now()
	h, err := from.leases.take(ctx, unit, wait)
	if err != nil {
		return db.noTurn(ctx, unit, from, asked, err)
	}
	pooled, err := db.acquire(ctx, from.pool, wait-time.Since(asked))
	if err != nil {
		from.leases.give(h)
		return db.notOpened(ctx, unit, from, asked, err)
	}
	taken := time.Now()
	from.leases.on(h, pooled.Conn().PgConn().PID())
	held, cancel := from.leases.withHardLimit(ctx)
	c := &postgresConn{unit: unit, ctx: held, raw: pooled.Conn()}
	err = holdConnection(f, c)
	broken := c.raw.IsClosed()
	pooled.Release()
	from.leases.give(h)
	cancel()
	if broken && silent(err) {
		from.breaker.failed(taken)
	} else if !broken {
		from.breaker.answered()
	}
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	db.report(c.done)
	err = explained(from.leases.countCancelled(held, h, err), broken)
	if db.trace.Traces(ctx) {
		at := c.raw.Config()
		db.trace.Unit(ctx, traced(unit, "postgresql", at.Host, int(at.Port), asked, taken, c.done, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	return nil
}

// acquire has a turn, so it waits for nobody else: for the network alone.
func (db *postgresDB) acquire(ctx context.Context, pool *pgxpool.Pool, wait time.Duration) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, min(max(wait, acquireLeast), connectTimeout+pingTimeout))
	defer cancel()
	return pool.Acquire(ctx)
}

// noTurn says that everybody else has the connections.
func (db *postgresDB) noTurn(ctx context.Context, unit string, from leasedPool, asked time.Time, err error) error {
	db.refusedBy(ctx, from, unit, whyNoTurn(ctx, err), asked)
	return fmt.Errorf("%s: %w", unit, Overloaded(fmt.Errorf("%s: %w: %w", from.leases.exhausted(time.Since(asked)), err, ErrNotBegun)))
}

// refusedBy counts a unit of work that got no connection, unless it may still get
// one elsewhere.
func (db *postgresDB) refusedBy(ctx context.Context, from leasedPool, unit, why string, asked time.Time) {
	if from.optional {
		db.passedOver(ctx, unit, why, asked)
	} else {
		db.refused(ctx, unit, why, asked)
	}
}

// whyNoTurn names the reason for a metric.
func whyNoTurn(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, ErrQueueFull):
		return "queue_full"
	case ctx.Err() != nil:
		return "gave_up"
	}
	return "timeout"
}

// notOpened says that the database could not be reached for a connection.
func (db *postgresDB) notOpened(ctx context.Context, unit string, from leasedPool, asked time.Time, err error) error {
	why := "unreachable"
	if ctx.Err() != nil {
		why = "gave_up"
	} else if !isCode(err, "53300") { // too many connections: it answers
		from.breaker.failed(asked)
	}
	db.refusedBy(ctx, from, unit, why, asked)
	return fmt.Errorf("%s: %w", unit, Unavailable(fmt.Errorf("no connection could be opened within %v: %w: %w", time.Since(asked).Round(time.Millisecond), err, ErrNotBegun)))
}
