package journal

import (
	"context"

	"github.com/chowk-chat/chowk/internal/state"
)

// Store commits groups of changes.
type Store interface {
	// Commit commits the changes as one group, in their order within each channel,
	// with one connection in one round trip where the database can. Outcomes are
	// in the order of changes; one that was refused (Outcome.Err) does not keep
	// the others from being committed. A change committed before (same ID) is not
	// applied again and its outcome is the first one's, with Duplicate. An error
	// means that nothing is known of the group's fate: committing the same
	// changes again is safe.
	Commit(ctx context.Context, changes []state.Change) ([]state.Outcome, error)
	// CommitReads moves read cursors forward as one group. A user and channel
	// occur once in it. The outcome of a Read with an Ordinal says nothing.
	CommitReads(ctx context.Context, reads []state.Read) ([]state.ReadResult, error)
}
