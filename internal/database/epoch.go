package database

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
)

// setMeta stores a named value.
const setMeta = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"

func newEpoch() []byte {
	id := chat.NewID()
	return id[:]
}

// storedEpoch returns the epoch stored in the database, and stores one first when
// there is none.
func (db *DB) storedEpoch(ctx context.Context) (epoch []byte, err error) {
	err = db.Write(ctx, "epoch", func(c Conn) error {
		const add = "-- name: add_epoch\nINSERT INTO meta (name, value) VALUES ('epoch', $1) ON CONFLICT DO NOTHING"
		if err := Exec(c, add, newEpoch()); err != nil {
			return err
		}
		return Query(c, "-- name: epoch\nSELECT value FROM meta WHERE name = 'epoch'", func(r Row) error {
			return r.Scan(&epoch)
		})
	})
	return epoch, err
}

// NewEpoch begins another history on a PostgreSQL database that was restored, so that
// clients load everything again. No server may be running: servers read the epoch
// when they start.
func NewEpoch(ctx context.Context, url string) (err error) {
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		return shortError(err)
	}
	defer func() { err = errors.Join(err, db.Close(ctx)) }()
	_, err = db.Exec(ctx, setMeta, "epoch", newEpoch())
	return err
}
