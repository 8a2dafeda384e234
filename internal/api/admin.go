package api

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Database reports to administrators what the database does. It runs no query, so it
// works when no connection is available.
type Database interface {
	Pool() PoolReport
	SlowQueries() []SlowQuery
}

// PoolReport describes how database connections are used now.
type PoolReport struct {
	Kind         string        `json:"kind" enum:"postgres,sqlite"`
	Size         int           `json:"size" doc:"As set; 0 for sqlite"`
	Overflow     int           `json:"overflow" doc:"As set; 0 for sqlite"`
	Max          int           `json:"max" doc:"Connections that units of work may hold; one more is reserved"`
	InUse        int           `json:"in_use"`
	Idle         int           `json:"idle"`
	Constructing int           `json:"constructing" doc:"Being opened"`
	Waiting      int           `json:"waiting" doc:"Units of work waiting for a connection"`
	OldestWaitMS float64       `json:"oldest_wait_ms"`
	Opened       int64         `json:"opened" doc:"Since the start"`
	Closed       int64         `json:"closed" doc:"Since the start"`
	Unreachable  bool          `json:"unreachable" doc:"The database does not answer, and work is refused immediately"`
	Held         []PoolHold    `json:"held" doc:"Every connection in use, the longest held first"`
	Replicas     []PoolReplica `json:"replicas,omitempty"`
}

// PoolReplica is a read replica.
type PoolReplica struct {
	Name   string `json:"name" doc:"Host and port"`
	Out    bool   `json:"out" doc:"It is not used now: it does not answer, or it lags"`
	InUse  int    `json:"in_use"`
	Served int64  `json:"served" doc:"Reads that it served since the start"`
	Behind int64  `json:"behind" doc:"Reads for which it lagged: the primary served them"`
	Failed int64  `json:"failed" doc:"Reads that failed: the primary served them"`
}

// PoolHold is a connection held by a unit of work.
type PoolHold struct {
	Unit       string   `json:"unit"`
	HeldMS     float64  `json:"held_ms"`
	BackendPID uint32   `json:"backend_pid,omitempty" doc:"As in pg_stat_activity"`
	TakenBy    []string `json:"taken_by" doc:"Functions and lines, innermost first"`
}

// SlowQuery summarises a statement that was slow since the start.
type SlowQuery struct {
	Name      string     `json:"name"`
	Count     int64      `json:"count" doc:"How often it was slow"`
	WorstMS   float64    `json:"worst_ms"`
	WorstAt   time.Time  `json:"worst_at"`
	WorstUnit string     `json:"worst_unit"`
	WorstRows int64      `json:"worst_rows"`
	SQL       string     `json:"sql,omitempty" doc:"Without values; absent when several were sent together"`
	Plan      string     `json:"plan,omitempty" doc:"The database's plan, without values"`
	PlanAt    *time.Time `json:"plan_at,omitempty"`
}

// errNotAdministrator refuses a caller who is not an administrator. With auth=none
// there are none.
var errNotAdministrator = chat.Errorf(chat.Forbidden, "Only administrators can see this")

// adminCalls registers the calls for administrators.
func (d *handler) adminCalls() {
	if d.Database == nil {
		return
	}
	add(d, call{
		route: "GET /admin/pool", id: "pool", tag: tagAdmin,
		summary: "See which work holds database connections (administrators)",
	},
		func(_ context.Context, a caller, _ *nothing) (PoolReport, error) {
			if !a.Identity.Admin {
				return PoolReport{}, errNotAdministrator
			}
			return d.Database.Pool(), nil
		})
	add(d, call{
		route: "GET /admin/slow-queries", id: "slowQueries", tag: tagAdmin,
		summary: "See the twenty slowest statements since the start (administrators)",
	},
		func(_ context.Context, a caller, _ *nothing) ([]SlowQuery, error) {
			if !a.Identity.Admin {
				return nil, errNotAdministrator
			}
			return d.Database.SlowQueries(), nil
		})
}
