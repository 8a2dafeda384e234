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
	return db.lendMain(ctx, unit, func(c *postgresConn) error { return c.run(f) })
}

const (
	// maxAttempts bounds the attempts at a transaction that was rolled back through no
	// fault of its own.
	maxAttempts = 100
	// maxUniqueAttempts bounds those of one that violates a unique constraint. No race
	// lasts longer: after that the statement itself is at fault.
	maxUniqueAttempts = 4
)

// write retries a transaction that was rolled back through no fault of its own: after
// a deadlock with another node, a cut connection, or a row that another transaction
// inserted meanwhile. A cut connection may have committed, which is one more reason
// why f must read before it writes. A unit that has not begun is refused at once, so
// that its caller decides whether to try again.
func (db *postgresDB) write(ctx context.Context, unit string, f func(Conn) error) error {
	uncertain := false // an attempt may have committed
	for attempt := 1; ; attempt++ {
		committing := false
		err := db.lendMain(ctx, unit, func(c *postgresConn) error { return c.transaction(f, &committing) })
		if err == nil {
			return nil
		}
		uncertain = uncertain || committing && errors.Is(err, ErrUnavailable)
		retry := retryable(err)
		if isCode(err, uniqueViolation) && attempt >= maxUniqueAttempts {
			retry = false
		}
		if errors.Is(err, ErrNotBegun) {
			retry = uncertain
		}
		if !retry || attempt == maxAttempts || !async.Sleep(ctx, backoff(attempt)) {
			if uncertain {
				err = outcomeUnknown(err)
			}
			return err
		}
	}
}

// backoff returns the pause after an attempt: 1, 4, 9 … 200 ms.
func backoff(attempt int) time.Duration {
	return time.Duration(min(attempt*attempt, 200)) * time.Millisecond
}

func (db *postgresDB) lendMain(ctx context.Context, unit string, f func(*postgresConn) error) error {
	if db.main.breaker.isOpen() {
		db.observer.Refused(unit, "circuit_open")
		cause := fmt.Errorf("the database has not answered lately: %w", ErrNotBegun)
		return fmt.Errorf("%s: %w", unit, Unavailable(cause))
	}
	return db.lend(ctx, unit, db.main, db.options.timeout(ctx), f)
}

// lend runs f on a connection. It reports only after the connection was returned,
// because no connection may be held while anything but the database is waited for.
func (db *postgresDB) lend(
	ctx context.Context, unit string, from leasedPool, timeout time.Duration, f func(*postgresConn) error,
) error {
	asked := time.Now()
	h, err := from.leases.acquire(ctx, unit, timeout)
	if err != nil {
		return db.refusedLease(ctx, unit, from, asked, err)
	}
	pooled, err := db.connect(ctx, from.pool, timeout-time.Since(asked))
	if err != nil {
		from.leases.release(h)
		return db.refusedConnection(ctx, unit, from, asked, err)
	}
	taken := time.Now()
	from.leases.connected(h, pooled.Conn().PgConn().PID())
	held, cancel := from.leases.withHardLimit(ctx)
	c := &postgresConn{unit: unit, ctx: held, raw: pooled.Conn()}
	err = holdConnection(f, c)
	broken := c.raw.IsClosed()
	pooled.Release()
	from.leases.release(h)
	cancel()
	if broken && silent(err) {
		from.breaker.failed(taken)
	} else if !broken {
		from.breaker.answered()
	}
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	db.report(c.done)
	err = classify(from.leases.countCancelled(held, h, err), broken)
	if db.trace.Traces(ctx) {
		config := c.raw.Config()
		at := server{"postgresql", config.Host, int(config.Port)}
		db.trace.Unit(ctx, tracedUnit(unit, at, asked, taken, c.done, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	return nil
}

// minConnectTimeout is what a connection that must be opened gets at least, however
// long the unit has waited for its lease.
const minConnectTimeout = 50 * time.Millisecond

// connect returns a connection of the pool. The unit has a lease, so it waits for the
// network alone.
func (db *postgresDB) connect(ctx context.Context, pool *pgxpool.Pool, timeout time.Duration) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, min(max(timeout, minConnectTimeout), connectTimeout+pingTimeout))
	defer cancel()
	return pool.Acquire(ctx)
}

// refusedLease reports that other units have all connections.
func (db *postgresDB) refusedLease(
	ctx context.Context, unit string, from leasedPool, asked time.Time, err error,
) error {
	db.refusedBy(ctx, from, unit, refusalReason(ctx, err), asked)
	return leaseError(unit, from.leases, asked, err)
}

// leaseError describes why a unit got no lease.
func leaseError(unit string, l *leases, asked time.Time, err error) error {
	cause := fmt.Errorf("%s: %w: %w", l.exhausted(time.Since(asked)), err, ErrNotBegun)
	return fmt.Errorf("%s: %w", unit, Overloaded(cause))
}

// refusedBy counts a unit that got no connection, unless it may still get one
// elsewhere.
func (db *postgresDB) refusedBy(ctx context.Context, from leasedPool, unit, why string, asked time.Time) {
	if from.optional {
		db.traceRefused(ctx, unit, why, asked)
	} else {
		db.refused(ctx, unit, why, asked)
	}
}

// refusalReason names the reason for Observer.Refused.
func refusalReason(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, ErrQueueFull):
		return "queue_full"
	case ctx.Err() != nil:
		return "gave_up"
	}
	return "timeout"
}

// refusedConnection reports that no connection could be opened.
func (db *postgresDB) refusedConnection(
	ctx context.Context, unit string, from leasedPool, asked time.Time, err error,
) error {
	why := "unreachable"
	if ctx.Err() != nil {
		why = "gave_up"
	} else if !isCode(err, tooManyConnections) { // with that, it answers
		from.breaker.failed(asked)
	}
	db.refusedBy(ctx, from, unit, why, asked)
	waited := time.Since(asked).Round(time.Millisecond)
	cause := fmt.Errorf("no connection could be opened within %v: %w: %w", waited, err, ErrNotBegun)
	return fmt.Errorf("%s: %w", unit, Unavailable(cause))
}
