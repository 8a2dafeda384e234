package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/state"
)

// dialect is what the databases do differently.
type dialect struct {
	// lockChannels follows a SELECT of channels and locks them.
	lockChannels string
	// loadRoles loads the roles of members.
	loadRoles func(loader)
	// send decides new messages and stores them.
	send func(*sends, conn) error
	// moveReads moves the read cursors with the indexes own and asked.
	moveReads func(c conn, reads []state.Read, own, asked []int, outcomes []state.ReadResult) error
}

var dialects = map[string]*dialect{
	"postgres": {
		lockChannels: " ORDER BY id FOR NO KEY UPDATE",
		loadRoles:    loader.rolesTogether,
		send:         (*sends).together,
		moveReads:    moveReadsTogether,
	},
	"sqlite": {
		loadRoles: loader.eachRole,
		send:      (*sends).each,
		moveReads: moveEachRead,
	},
}

// reachedSQL returns a row when a channel has come to a seq: a replica then has everything
// that was committed there up to it.
const reachedSQL = "-- name: replica_at\nSELECT last_seq FROM channels WHERE id = $1 AND last_seq >= $2"

// readAt reads on a replica that has come to seq in the channel, or else on the primary. A
// seq of 0 means the primary.
func (s *Store) readAt(ctx context.Context, unit string, channel chat.ID, seq chat.Seq, f func(conn) error) error {
	var reached database.Statement
	if seq > 0 {
		reached = database.Statement{SQL: reachedSQL, Args: []any{channel, seq}}
	}
	return s.db.ReadAt(ctx, unit, reached, f)
}
