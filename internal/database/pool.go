package database

import (
	"context"
	"slices"
	"time"
)

// Pool bounds the connections to PostgreSQL. Zero values mean the defaults.
type Pool struct {
	// Size connections are kept open. Overflow more are opened under load, and closed
	// after MaxIdleTime without use. Defaults 10, 20 (a negative Overflow means none)
	// and 5 s. Their sum is never exceeded. One of them is kept apart for health checks
	// and administrators, unless the sum is 1.
	Size, Overflow int
	// RequestTimeout bounds the wait for a connection when a client waits for the
	// result, that is, when the context has a deadline. BackgroundTimeout bounds all
	// other waits. Defaults 250 ms and 30 s. Both apply to SQLite as well.
	RequestTimeout, BackgroundTimeout time.Duration
	// MaxLifetime is the age at which a connection is replaced. Default 1 h.
	MaxLifetime time.Duration
	MaxIdleTime time.Duration
}

// WithDefaults returns p with its defaults filled in.
func (p Pool) WithDefaults() Pool {
	if p.Size == 0 {
		p.Size = 10
	}
	switch {
	case p.Overflow == 0:
		p.Overflow = 20
	case p.Overflow < 0:
		p.Overflow = 0
	}
	setDefault(&p.RequestTimeout, 250*time.Millisecond)
	setDefault(&p.BackgroundTimeout, 30*time.Second)
	setDefault(&p.MaxLifetime, time.Hour)
	setDefault(&p.MaxIdleTime, 5*time.Second)
	return p
}

func setDefault(v *time.Duration, d time.Duration) {
	if *v == 0 {
		*v = d
	}
}

// timeout returns how long to wait for a connection.
func (p Pool) timeout(ctx context.Context) time.Duration {
	if _, hasDeadline := ctx.Deadline(); hasDeadline {
		return p.RequestTimeout
	}
	return p.BackgroundTimeout
}

// Hold is one connection in use.
type Hold struct {
	Unit string
	For  time.Duration
	// BackendPID is the server process, as in pg_stat_activity; 0 for SQLite.
	BackendPID uint32
	// TakenBy is the method that runs the unit of work, followed by its callers.
	TakenBy []string
}

// Holder is a kind of unit of work that has connections.
type Holder struct {
	Unit    string
	Count   int
	Longest time.Duration
}

// PoolStats is how the connections are used at one moment. The connection kept apart
// counts only in Opened and Closed.
type PoolStats struct {
	// Size and Overflow are the settings; 0 for SQLite. Max is how many units of work
	// may have a connection at once.
	Size, Overflow, Max int
	// InUse, Idle and Opening are the connections there are.
	InUse, Idle, Opening int
	// Waiting units wait for a connection, the first of them since OldestWait.
	Waiting    int
	OldestWait time.Duration
	// Opened and Closed count connections since the start.
	Opened, Closed int64
	// Unreachable means that the database has not answered lately, so that units of
	// work are refused at once.
	Unreachable bool
	// Held lists the connections in use, the one held longest first. Holders sums them
	// up by unit.
	Held    []Hold
	Holders []Holder
	// Replicas are the read replicas, in the order of the settings.
	Replicas []ReplicaStats
}

// ReplicaStats is how a read replica is used.
type ReplicaStats struct {
	Name string // host and port
	// Unavailable means that the replica is not used at the moment: it does not answer,
	// or it lags.
	Unavailable bool
	InUse       int
	// Served reads were answered. For Behind reads the replica had not come far enough,
	// and Failed reads ended in an error; both were repeated on the primary.
	Served, Behind, Failed int64
}

// add adds what the leases of one or more pools record.
func (s *PoolStats) add(pools ...*leases) {
	for _, l := range pools {
		n, oldest := l.waiting()
		s.Waiting += n
		s.OldestWait = max(s.OldestWait, oldest)
		s.Held = append(s.Held, l.snapshot()...)
	}
	s.InUse = len(s.Held)
}

// holders sums holds up by unit, in their order.
func holders(held []Hold) (all []Holder) {
	for _, h := range held {
		i := slices.IndexFunc(all, func(o Holder) bool { return o.Unit == h.Unit })
		if i < 0 {
			all, i = append(all, Holder{Unit: h.Unit}), len(all)
		}
		all[i].Count++
		all[i].Longest = max(all[i].Longest, h.For)
	}
	return all
}
