package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/model"
)

// loginColumns are those of the table sessions.
var loginColumns = table.Columns[model.Login]{
	table.Hash("hash", func(l *model.Login) *model.TokenHash { return &l.Hash }),
	table.User("user_id", func(l *model.Login) *chat.UserID { return &l.UserID }),
	table.Time("created_at", func(l *model.Login) *chat.Time { return &l.CreatedAt }),
	table.Time("expires_at", func(l *model.Login) *chat.Time { return &l.ExpiresAt }),
}

var (
	insertLogin = table.Insert("open_session", "sessions", loginColumns, " ON CONFLICT DO NOTHING")
	selectLogin = "-- name: sessions\nSELECT " + loginColumns.List("s.") + ", " + userColumns.List("u.") + `
		FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.hash = ANY($1)`
)

// loginUser is an open log-in with its user.
type loginUser struct {
	login model.Login
	user  chat.User
}

// OpenSession stores a log-in. See auth.Store.
func (s *Store) OpenSession(ctx context.Context, l model.Login) error {
	return s.db.Write(ctx, "open_session", func(c conn) error {
		insertLogin.Queue(c, &l)
		return nil
	})
}

// Session returns an open log-in and its user. Calls made at the same time share a
// statement. See auth.Store.
func (s *Store) Session(ctx context.Context, hash model.TokenHash) (*model.Login, *chat.User, error) {
	found, exists, err := s.logins.get(ctx, hash)
	if err == nil && !exists {
		err = notFound("Session")
	}
	if err != nil {
		return nil, nil, err
	}
	return &found.login, &found.user, nil
}

// loadLogins reads on the reserved connection when the pool is exhausted: it
// authenticates, and without that no administrator could see who holds the connections.
func (s *Store) loadLogins(
	ctx context.Context, hashes []model.TokenHash,
) (all map[model.TokenHash]loginUser, err error) {
	err = s.readOrReserved(ctx, "sessions", func(c conn) error {
		all = make(map[model.TokenHash]loginUser, len(hashes))
		return database.Query(c, selectLogin, func(r row) error {
			var l loginUser
			err := loginColumns.Scan(r, &l.login, userColumns.Into(&l.user)...)
			all[l.login.Hash] = l
			return err
		}, hashes)
	})
	return all, err
}

// CloseSession ends a log-in. See auth.Store.
func (s *Store) CloseSession(ctx context.Context, hash model.TokenHash) error {
	return s.db.Write(ctx, "close_session", func(c conn) error {
		var user chat.UserID
		err := database.Query(c, "-- name: close_session\nDELETE FROM sessions WHERE hash = $1 RETURNING user_id",
			func(r row) error { return r.Scan(&user) }, hash)
		if err != nil || user == "" {
			return err
		}
		addRevocation(c, user, hash, false)
		return c.Flush()
	})
}

// closeLogins ends all log-ins of a user except keep, and records it for other nodes.
func closeLogins(c conn, user chat.UserID, keep model.TokenHash) (closed []model.TokenHash, err error) {
	err = database.Query(c, `-- name: close_sessions
		DELETE FROM sessions WHERE user_id = $1 AND hash <> $2 RETURNING hash`,
		func(r row) error {
			var h model.TokenHash
			err := r.Scan(&h)
			closed = append(closed, h)
			return err
		}, user, keep)
	if err != nil {
		return nil, err
	}
	for _, h := range closed {
		addRevocation(c, user, h, false)
	}
	return closed, c.Flush()
}

// DeleteExpired deletes log-ins and tickets that have expired, and old revocations. See
// auth.Store.
func (s *Store) DeleteExpired(ctx context.Context, now chat.Time) error {
	return s.db.Write(ctx, "delete_expired", func(c conn) error {
		c.Queue("-- name: delete_expired_sessions\nDELETE FROM sessions WHERE expires_at < $1", []any{now}, nil)
		c.Queue("-- name: delete_expired_tickets\nDELETE FROM tickets WHERE expires_at < $1", []any{now}, nil)
		c.Queue("-- name: delete_old_revocations\nDELETE FROM revocations WHERE at < $1",
			[]any{now - chat.Time(keepRevocations.Microseconds())}, nil)
		return nil
	})
}
