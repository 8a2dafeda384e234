package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"zombiezen.com/go/sqlite"
)

// read runs all statements of the unit in one transaction, so that they see one
// snapshot.
func (db *sqliteDB) read(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.readers, db.timeouts.timeout(ctx), func(c *sqliteConn) error {
		return c.transaction(beginSQL, f)
	})
}

// readAt is read: there is one copy.
func (db *sqliteDB) readAt(ctx context.Context, unit string, _ Statement, f func(Conn) error) error {
	return db.read(ctx, unit, f)
}

func (*sqliteDB) replicaCount() int { return 0 }

func (db *sqliteDB) write(ctx context.Context, unit string, f func(Conn) error) error {
	db.marker.work.Add(1)
	err := db.lend(ctx, unit, db.writer, db.timeouts.timeout(ctx), func(c *sqliteConn) error {
		return c.transaction(beginWrite, f)
	})
	if sqlite.ErrCode(err).ToPrimary() == sqlite.ResultIOErr {
		err = outcomeUnknown(err) // what could not be flushed may still be in the log
	}
	return err
}

func (db *sqliteDB) reserved(ctx context.Context, unit string, f func(Conn) error) error {
	return db.lend(ctx, unit, db.apart, db.timeouts.RequestTimeout, func(c *sqliteConn) error {
		return c.transaction(beginSQL, f)
	})
}

// lend runs f on a connection. It reports only after the connection was returned.
func (db *sqliteDB) lend(
	ctx context.Context, unit string, from sqlitePool, timeout time.Duration, f func(*sqliteConn) error,
) error {
	asked := time.Now()
	h, err := from.leases.acquire(ctx, unit, timeout)
	if err != nil {
		db.refused(ctx, unit, refusalReason(ctx, err), asked)
		return leaseError(unit, from.leases, asked, err)
	}
	var raw *sqlite.Conn
	select {
	case raw = <-from.idle:
	case <-db.closed: // close takes the connections without a lease
		from.leases.release(h)
		return fmt.Errorf("%s: %w", unit, Unavailable(errors.New("the database is closed")))
	}
	taken := time.Now()
	held, cancel := from.leases.withHardLimit(ctx)
	c := &sqliteConn{unit: unit, raw: raw}
	raw.SetInterrupt(held.Done())
	err = holdConnection(f, c)
	raw.SetInterrupt(nil)
	from.idle <- raw
	from.leases.release(h)
	cancel()
	db.observer.Acquired(unit, taken.Sub(asked), time.Since(taken))
	db.report(c.done)
	err = classifySQLite(from.leases.countCancelled(held, h, err))
	if db.trace.Traces(ctx) {
		db.trace.Unit(ctx, tracedUnit(unit, server{system: "sqlite"}, asked, taken, c.done, err))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	return nil
}

// classifySQLite adds the error for clients to that of the database.
func classifySQLite(err error) error {
	switch sqlite.ErrCode(err).ToPrimary() {
	case sqlite.ResultFull, sqlite.ResultIOErr, sqlite.ResultReadOnly, sqlite.ResultCantOpen:
		return Unavailable(err)
	case sqlite.ResultBusy, sqlite.ResultInterrupt:
		return Overloaded(err)
	}
	return err
}
