package database

import (
	"context"
	"time"
)

// Pool bounds the connections to PostgreSQL. Zero values mean the defaults.
type Pool struct {
	// Size is how many are kept, Overflow how many more are opened under load and
	// closed when they have been idle for MaxIdleTime. Defaults 10, 20 (with a
	// negative Overflow: none) and 5 s. Their sum is never exceeded; one of them is
	// kept apart for health and administrators, unless the sum is 1.
	Size, Overflow int
	MaxIdleTime    time.Duration
	// Wait bounds the wait for a connection of work that a client waits for, that is,
	// whose context has a deadline; Timeout that of all else. Defaults 250 ms and 30 s.
	// These two hold for SQLite as well.
	Wait, Timeout time.Duration
	// MaxLifetime is when a connection is replaced. Default 1 h.
	MaxLifetime time.Duration
}

func (p Pool) withDefaults() Pool {
	if p.Size == 0 {
		p.Size = 10
	}
	switch {
	case p.Overflow == 0:
		p.Overflow = 20
	case p.Overflow < 0:
		p.Overflow = 0
	}
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	set(&p.Wait, 250*time.Millisecond)
	set(&p.Timeout, 30*time.Second)
	set(&p.MaxLifetime, time.Hour)
	set(&p.MaxIdleTime, 5*time.Second)
	return p
}

// waitFor is how long to wait for a connection.
func (p Pool) waitFor(ctx context.Context) time.Duration {
	if _, hurried := ctx.Deadline(); hurried {
		return p.Wait
	}
	return p.Timeout
}

// Holder is a kind of unit of work that has connections.
type Holder struct {
	Unit    string
	Count   int
	Longest time.Duration
}

// Hold is one connection that a unit of work has.
type Hold struct {
	Unit string
	For  time.Duration
	// BackendPID is the server's process, as in pg_stat_activity; 0 for SQLite.
	BackendPID uint32
	// TakenBy is the store's method and who called it, innermost first.
	TakenBy []string
}

// PoolStats says how the connections are used at one moment. The reserved
// connection is in none of the numbers but Opened and Closed.
type PoolStats struct {
	// Size and Overflow are those of the settings, 0 for SQLite; Most is how many
	// units of work may have a connection at once.
	Size, Overflow, Most int
	// InUse, Idle and Constructing (being opened) make up what there is.
	InUse, Idle, Constructing int
	// Waiting is how many wait for a connection, OldestWait since when the first.
	Waiting    int
	OldestWait time.Duration
	// Opened and Closed count connections since the start.
	Opened, Closed int64
	// Unreachable says that the database has not answered lately, so that units of
	// work are refused at once.
	Unreachable bool
	// Held is every connection in use, the longest held first, and Holders the same
	// by unit.
	Held    []Hold
	Holders []Holder
	// Replicas are the read replicas, in the order of the settings.
	Replicas []ReplicaStats
}

// add adds up what ledgers know.
func (s *PoolStats) add(ledgers ...*leases) {
	for _, l := range ledgers {
		n, oldest := l.waiting()
		s.Waiting += n
		s.OldestWait = max(s.OldestWait, oldest)
		s.Held = append(s.Held, l.snapshot()...)
	}
	s.InUse = len(s.Held)
}
