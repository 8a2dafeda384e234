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

// replica is a standby that may serve reads for which it has come far enough.
type replica struct {
	name string
	leasedPool
	served, behind, failed atomic.Int64

	mu      sync.Mutex // guards what follows
	lagging int        // reads in a row for which it was behind
	nextTry time.Time
}

const (
	// replicaWaitTimeout is how long a read waits for a connection to a replica before
	// it goes to the primary.
	replicaWaitTimeout = 50 * time.Millisecond
	// replicaReadTimeout is how long a read may take on a replica, so that a replica
	// that hangs delays a few reads a little.
	replicaReadTimeout = 500 * time.Millisecond
	// A replica that was behind for maxLagging reads in a row is left alone for
	// lagCooldown.
	maxLagging  = 5
	lagCooldown = time.Second
)

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

// openReplica succeeds even when the replica does not answer: a server can start
// without it.
func (db *postgresDB) openReplica(ctx context.Context, url string) (*replica, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	name := net.JoinHostPort(c.ConnConfig.Host, strconv.Itoa(int(c.ConnConfig.Port)))
	pool, err := db.newPool(ctx, url, 1, db.options.Size)
	if err != nil {
		return nil, err
	}
	limit := fmt.Sprintf("replica %s: limit of %d", name, db.options.Size)
	r := &replica{name: name, leasedPool: leasedPool{
		pool: pool, leases: newLeases(db.options.Size, limit, db.common), optional: true,
	}}
	r.breaker = newBreaker(func(ctx context.Context) error {
		return db.lend(ctx, "ping_replica", r.leasedPool, pingTimeout, (*postgresConn).ping)
	}, func(open bool) {
		if open {
			db.log.Warn("a read replica does not answer: the primary serves its reads until it does", "replica", name)
		} else {
			db.log.Info("a read replica answers again", "replica", name)
		}
	})
	return r, nil
}

func (r *replica) unavailable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.breaker.isOpen() || time.Now().Before(r.nextTry)
}

// countRead records whether the replica had come far enough for a read.
func (r *replica) countRead(reached bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if reached {
		r.served.Add(1)
		r.lagging = 0
		return
	}
	r.behind.Add(1)
	if r.lagging++; r.lagging >= maxLagging {
		r.nextTry = time.Now().Add(lagCooldown)
	}
}

// readAt finds out in the same round trip whether a replica has come far enough.
func (db *postgresDB) readAt(ctx context.Context, unit string, reached Statement, f func(Conn) error) error {
	if r := db.chooseReplica(); r != nil && reached.SQL != "" {
		if done, err := db.readOn(ctx, r, unit, reached, f); done {
			return err
		}
	}
	return db.read(ctx, unit, f)
}

// chooseReplica returns the available replicas in turn, or nil.
func (db *postgresDB) chooseReplica() *replica {
	for range db.replicas {
		r := db.replicas[int(db.next.Add(1)%uint64(len(db.replicas)))]
		if !r.unavailable() {
			return r
		}
	}
	return nil
}

// readOn reads on a replica. It returns done when the replica's answer counts.
func (db *postgresDB) readOn(
	ctx context.Context, r *replica, unit string, reached Statement, f func(Conn) error,
) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, replicaReadTimeout)
	defer cancel()
	err = db.lend(ctx, unit, r.leasedPool, replicaWaitTimeout, func(c *postgresConn) error {
		done = false
		c.Queue(reached.SQL, reached.Args, func(Row) error {
			done = true
			return nil
		})
		return c.run(f)
	})
	if err != nil && !isAnswer(err) {
		r.failed.Add(1)
		return false, nil
	}
	r.countRead(done)
	return done, err
}

// isAnswer reports whether an error is what the unit of work found out, rather than a
// failure to do it.
func isAnswer(err error) bool {
	var e *chat.Error
	return errors.As(err, &e) && !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrOverloaded)
}

func (db *postgresDB) replicaCount() int { return len(db.replicas) }

func (r *replica) stats() ReplicaStats {
	return ReplicaStats{
		Name: r.name, Unavailable: r.unavailable(), InUse: len(r.leases.snapshot()),
		Served: r.served.Load(), Behind: r.behind.Load(), Failed: r.failed.Load(),
	}
}
