package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/chowk-chat/chowk/chat"
)

// ReplicaStats says how a read replica is used.
type ReplicaStats struct {
	Name string // its host and port
	// Out says that it is not asked at the moment: it does not answer, or it is late.
	Out   bool
	InUse int
	// Served counts the reads that it answered, Behind those for which it had not
	// come far enough, and Failed those that ended in an error. The primary was asked
	// for the latter two.
	Served, Behind, Failed int64
}

// replica is a standby that may be asked for what it has got already.
type replica struct {
	name string
	leasedPool
	served, behind, failed atomic.Int64

	mu      sync.Mutex // guards what follows
	late    int        // reads in a row for which it was behind
	nextTry time.Time
}

const (
	// replicaWait is how long a read waits for a connection to a replica: the primary
	// is there as well.
	replicaWait = 50 * time.Millisecond
	// replicaLimit is how long a read may take there, so that one that hangs delays a
	// few reads a little.
	replicaLimit = 500 * time.Millisecond
	// A replica that was behind for lateAfter reads in a row is tried again after
	// lateFor.
	lateAfter = 5
	lateFor   = time.Second
)

func (db *postgresDB) openReplica(ctx context.Context, url string) (*replica, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("URL of a read replica: not one that PostgreSQL's drivers know, such as postgres://user:password@host/name")
	}
	name := net.JoinHostPort(c.ConnConfig.Host, strconv.Itoa(int(c.ConnConfig.Port)))
	// One that is away at the start is no reason not to start.
	pool, err := db.connect(ctx, url, 1, db.options.Size)
	if err != nil {
		return nil, err
	}
	r := &replica{name: name, leasedPool: leasedPool{pool: pool, leases: newLedger(db.options.Size, "replica "+name+": limit of "+strconv.Itoa(db.options.Size), db.watch, db.observer), optional: true}}
	r.breaker = newBreaker(func(ctx context.Context) error {
		return db.lend(ctx, "ping_replica", r.leasedPool, pingTimeout, func(c *postgresConn) error {
			return Query(c, "-- name: ping\nSELECT 1", func(Row) error { return nil })
		})
	}, func(open bool) {
		if open {
			db.watch.log.Warn("a read replica does not answer: the primary is asked until it does", "replica", name)
		} else {
			db.watch.log.Info("a read replica answers again", "replica", name)
		}
	})
	return r, nil
}

func (r *replica) out() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.breaker.isOpen() || time.Now().Before(r.nextTry)
}

// arrived notes whether a replica had come far enough.
func (r *replica) arrived(ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok {
		r.served.Add(1)
		r.late = 0
		return
	}
	r.behind.Add(1)
	if r.late++; r.late >= lateAfter {
		r.nextTry = time.Now().Add(lateFor)
	}
}

// readAt reads on a replica on which channel has come to seq, found out in the same
// round trip, and else on the primary.
func (db *postgresDB) readAt(ctx context.Context, unit string, reached Statement, f func(Conn) error) error {
	if r := db.chooseReplica(); r != nil && reached.SQL != "" {
		if done, err := db.readOn(ctx, r, unit, reached, f); done {
			return err
		}
	}
	return db.read(ctx, unit, f)
}

// chooseReplica takes one after the other of those that are asked.
func (db *postgresDB) chooseReplica() *replica {
	for range db.replicas {
		r := db.replicas[int(db.turn.Add(1)%uint64(len(db.replicas)))]
		if !r.out() {
			return r
		}
	}
	return nil
}

// readOn is done when the replica's answer counts.
func (db *postgresDB) readOn(ctx context.Context, r *replica, unit string, reached Statement, f func(Conn) error) (done bool, err error) {
	there := false
	short, cancel := context.WithTimeout(ctx, replicaLimit)
	defer cancel()
	err = db.lend(short, unit, r.leasedPool, replicaWait, func(c *postgresConn) error {
		there = false
		c.Queue(reached.SQL, reached.Args, func(Row) error {
			there = true
			return nil
		})
		return c.all(f)
	})
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrOverloaded) || err != nil && !isChatError(err) {
		r.failed.Add(1)
		return false, nil
	}
	r.arrived(there)
	return there, err
}

// isChatError says whether an error is an answer rather than a failure.
func isChatError(err error) bool {
	var e *chat.Error
	return errors.As(err, &e)
}

func (db *postgresDB) replicaCount() int { return len(db.replicas) }

func (r *replica) stats() ReplicaStats {
	return ReplicaStats{
		Name: r.name, Out: r.out(), InUse: len(r.leases.snapshot()),
		Served: r.served.Load(), Behind: r.behind.Load(), Failed: r.failed.Load(),
	}
}

// openReplicas opens all of them.
func (db *postgresDB) openReplicas(ctx context.Context, urls []string) error {
	for _, url := range urls {
		r, err := db.openReplica(ctx, url)
		if err != nil {
			return fmt.Errorf("read replica: %w", err)
		}
		db.replicas = append(db.replicas, r)
	}
	return nil
}
