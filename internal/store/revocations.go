package store

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/model"
)

// keepRevocations is how long revocations are kept. A node that cannot reach the database
// for so long has no sockets left.
const keepRevocations = 24 * time.Hour

var revocationColumns = table.Columns[model.Revocation]{
	table.Int64("id", func(v *model.Revocation) *int64 { return &v.ID }),
	table.User("user_id", func(v *model.Revocation) *chat.UserID { return &v.UserID }),
	table.Hash("hash", func(v *model.Revocation) *model.TokenHash { return &v.Hash }),
	table.Bool("enabled", func(v *model.Revocation) *bool { return &v.Enabled }),
}

// newRevocation is a revocation with its time.
type newRevocation struct {
	model.Revocation
	at chat.Time
}

var newRevocationColumns = table.Within(revocationColumns.Without("id"),
	func(n *newRevocation) *model.Revocation { return &n.Revocation }).And(
	table.Time("at", func(n *newRevocation) *chat.Time { return &n.at }))

var (
	insertRevocation  = table.Insert("add_revocation", "revocations", newRevocationColumns, "")
	selectRevocations = "-- name: revocations\nSELECT " + revocationColumns.List("") + `
		FROM revocations WHERE id > $1 ORDER BY id LIMIT $2`
)

// Revocations returns at most limit revocations after an id, in the order of their ids. A
// transaction that is about to commit may still add one before the last.
func (s *Store) Revocations(ctx context.Context, after int64, limit int) (all []model.Revocation, err error) {
	err = s.db.Read(ctx, "revocations", func(c conn) error {
		all = nil
		add := revocationColumns.All(func(v *model.Revocation) { all = append(all, *v) })
		return database.Query(c, selectRevocations, add, after, limit)
	})
	return all, err
}

// LastRevocation returns the id of the newest revocation, 0 when there is none.
func (s *Store) LastRevocation(ctx context.Context) (id int64, err error) {
	err = s.db.Read(ctx, "last_revocation", func(c conn) error {
		return database.Query(c, "-- name: last_revocation\nSELECT COALESCE(max(id), 0) FROM revocations",
			func(r row) error { return r.Scan(&id) })
	})
	return id, err
}

// addRevocation queues a revocation of a log-in, or with a zero hash of the whole user.
// enabled takes an earlier one of the whole user back.
func addRevocation(c conn, user chat.UserID, hash model.TokenHash, enabled bool) {
	insertRevocation.Queue(c, &newRevocation{
		model.Revocation{UserID: user, Hash: hash, Enabled: enabled}, chat.TimeOf(time.Now()),
	})
}
