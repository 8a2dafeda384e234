package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

// nodeRows keeps this node's row in the database alive, and reads those of other nodes.
type nodeRows struct {
	env
	self, version string
	db            rowDatabase
	peers         interface {
		isAlone() bool
		// setNodeRows accepts the number of heartbeats in each row, and returns the rows
		// to delete.
		setNodeRows(beats map[string]int64) (dead map[string]int64)
	}
}

// The interval of heartbeats in the database. A node alone is quicker, so that it soon
// notices another one.
const (
	rowInterval      = 5 * time.Second
	rowIntervalAlone = 2 * time.Second
	databaseTimeout  = 5 * time.Second
)

// run sends a heartbeat to the database in each interval until ctx ends.
func (r *nodeRows) run(ctx context.Context) {
	for async.Sleep(ctx, r.interval()) {
		attempt(ctx, r.log, "write a heartbeat to the database", r.beat)
	}
}

func (r *nodeRows) interval() time.Duration {
	if r.peers.isAlone() {
		return rowIntervalAlone
	}
	return rowInterval
}

// beat sends one heartbeat, and deletes the rows of nodes that are dead.
func (r *nodeRows) beat(ctx context.Context) error {
	beats, err := r.db.Heartbeat(ctx, r.self, r.version)
	if err != nil {
		return fmt.Errorf("write a heartbeat to the database: %w", err)
	}
	for id, last := range r.peers.setNodeRows(beats) {
		if err := r.db.ForgetNode(ctx, id, last); err != nil {
			return fmt.Errorf("delete the row of a dead node: %w", err)
		}
	}
	return nil
}
