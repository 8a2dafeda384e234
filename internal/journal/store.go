package journal

import (
	"context"

	"github.com/chowk-chat/chowk/internal/state"
)

// Store commits groups of changes.
type Store interface {
	// Commit commits the changes as one group, in their order within each channel, with one
	// connection and in one round trip where the database can. Outcomes are in the order of
	// the changes. A refused change (Outcome.Err) does not keep the others from being
	// committed. A change that was committed before (the same ID) is not applied again: its
	// outcome is the first one's, with Duplicate. An error means that the outcome of the
	// whole group is unknown: it is safe to commit the same changes again.
	Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error)
	// CommitReads moves read cursors forward as one group. It has each user and channel once.
	// The result of a Read with an Ordinal is not set.
	CommitReads(ctx context.Context, reads []state.Read) ([]state.ReadResult, error)
}
