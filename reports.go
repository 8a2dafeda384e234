package chowk

import (
	"time"

	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/store"
)

// poolNumbers returns what metrics are collected from.
func poolNumbers(db *store.Store) metric.PoolStats {
	s := db.PoolStats()
	numbers := metric.PoolStats{
		InUse: s.InUse, Idle: s.Idle, Max: s.Max, Waiting: s.Waiting, Opening: s.Opening,
		OldestWait: s.OldestWait, Opened: s.Opened, Closed: s.Closed, Unreachable: s.Unreachable,
	}
	for _, r := range s.Replicas {
		numbers.Replicas = append(numbers.Replicas, metric.ReplicaStats{
			Name: r.Name, Unavailable: r.Unavailable, Served: r.Served, Behind: r.Behind, Failed: r.Failed,
		})
	}
	for _, c := range db.CacheStats() {
		numbers.Caches = append(numbers.Caches, metric.CacheStats{
			Name: c.Name, Hits: c.Hits, Misses: c.Misses, Entries: c.Entries,
		})
	}
	return numbers
}

// reports describes the database to administrators in the terms of the REST API.
type reports struct{ db *store.Store }

func (r reports) Pool() api.PoolReport {
	s := r.db.PoolStats()
	p := api.PoolReport{
		Kind: r.db.Kind(), Size: s.Size, Overflow: s.Overflow, Max: s.Max,
		InUse: s.InUse, Idle: s.Idle, Constructing: s.Opening,
		Waiting: s.Waiting, OldestWaitMS: milliseconds(s.OldestWait),
		Opened: s.Opened, Closed: s.Closed, Unreachable: s.Unreachable,
		Held: make([]api.PoolHold, 0, len(s.Held)),
	}
	for _, h := range s.Held {
		p.Held = append(p.Held, api.PoolHold{
			Unit: h.Unit, HeldMS: milliseconds(h.For), BackendPID: h.BackendPID, TakenBy: h.TakenBy,
		})
	}
	for _, c := range s.Replicas {
		p.Replicas = append(p.Replicas, api.PoolReplica{
			Name: c.Name, Out: c.Unavailable, InUse: c.InUse, Served: c.Served, Behind: c.Behind, Failed: c.Failed,
		})
	}
	return p
}

func (r reports) SlowQueries() []api.SlowQuery {
	worst := r.db.SlowQueries()
	all := make([]api.SlowQuery, 0, len(worst))
	for _, q := range worst {
		s := api.SlowQuery{
			Name: q.Name, Count: q.Count, WorstMS: milliseconds(q.Worst), WorstAt: q.WorstAt,
			WorstUnit: q.WorstUnit, WorstRows: q.WorstRows, SQL: q.SQL, Plan: q.Plan,
		}
		if q.Plan != "" {
			s.PlanAt = &q.PlanAt
		}
		all = append(all, s)
	}
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
