package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// sessionUser is an open session and whose it is.
type sessionUser struct {
	session model.Login
	user    chat.User
}

// OpenSession keeps a log-in. See auth.Store.
func (s *Store) OpenSession(ctx context.Context, n model.Login) error {
	return s.db.Write(ctx, "open_session", func(c conn) error {
		return database.Exec(c, "-- name: open_session\nINSERT INTO sessions (hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", n.Hash, n.UserID, n.CreatedAt, n.ExpiresAt)
	})
}

// Session finds an open session and its user. See auth.Store.
func (s *Store) Session(ctx context.Context, hash model.TokenHash) (*model.Login, *chat.User, error) {
	found, ok, err := s.sessions.get(ctx, hash)
	if err == nil && !ok {
		err = notFound("Session")
	}
	if err != nil {
		return nil, nil, err
	}
	return &found.session, &found.user, nil
}

func (s *Store) loadSessions(ctx context.Context, hashes []model.TokenHash) (all map[model.TokenHash]sessionUser, err error) {
	err = s.readOrReserved(ctx, "sessions", func(c conn) error {
		all = make(map[model.TokenHash]sessionUser, len(hashes))
		return database.Query(c, "-- name: sessions\nSELECT s.hash, s.user_id, s.created_at, s.expires_at, "+userColumns+" FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.hash = ANY($1)", func(r row) error {
			var su sessionUser
			err := r.Scan(append([]any{&su.session.Hash, &su.session.UserID, &su.session.CreatedAt, &su.session.ExpiresAt}, userInto(&su.user)...)...)
			all[su.session.Hash] = su
			return err
		}, hashes)
	})
	return all, err
}

// CloseSession ends a log-in. See auth.Store.
func (s *Store) CloseSession(ctx context.Context, hash model.TokenHash) error {
	return s.db.Write(ctx, "close_session", func(c conn) error {
		var user chat.UserID
		err := database.Query(c, "-- name: close_session\nDELETE FROM sessions WHERE hash = $1 RETURNING user_id", func(r row) error { return r.Scan(&user) }, hash)
		if err != nil || user == "" {
			return err
		}
		revoke(c, user, hash, false)
		return c.Flush()
	})
}

// DeleteExpired removes sessions and tickets that are over, and the notes of those
// that were closed long ago. See auth.Store.
func (s *Store) DeleteExpired(ctx context.Context, t chat.Time) error {
	return s.db.Write(ctx, "delete_expired", func(c conn) error {
		c.Queue("-- name: delete_expired_sessions\nDELETE FROM sessions WHERE expires_at < $1", []any{t}, nil)
		c.Queue("-- name: delete_expired_tickets\nDELETE FROM tickets WHERE expires_at < $1", []any{t}, nil)
		c.Queue("-- name: delete_old_revocations\nDELETE FROM revocations WHERE at < $1", []any{t - chat.Time(revocationsKept.Microseconds())}, nil)
		return nil
	})
}

// AddTicket keeps a ticket. See auth.Store.
func (s *Store) AddTicket(ctx context.Context, t model.Ticket) error {
	return s.db.Write(ctx, "add_ticket", func(c conn) error {
		return database.Exec(c, "-- name: add_ticket\nINSERT INTO tickets (hash, purpose, user_id, email, uses, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
			t.Hash, string(t.Purpose), t.UserID, t.Email, t.Uses, t.CreatedAt, t.ExpiresAt)
	})
}

// SpendTicket takes one use of a ticket. See auth.Store.
func (s *Store) SpendTicket(ctx context.Context, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time) (t *model.Ticket, err error) {
	err = s.db.Write(ctx, "spend_ticket", func(c conn) error {
		t, err = spend(c, hash, purpose, now)
		return err
	})
	return t, err
}

func spend(c conn, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time) (t *model.Ticket, err error) {
	err = database.Query(c, `-- name: spend_ticket
		UPDATE tickets SET uses = uses - 1 WHERE hash = $1 AND purpose = $2 AND uses > 0 AND expires_at > $3
		RETURNING hash, purpose, user_id, email, uses, created_at, expires_at`, func(r row) error {
		t = new(model.Ticket)
		var uses int64
		err := r.Scan(&t.Hash, (*string)(&t.Purpose), &t.UserID, &t.Email, &uses, &t.CreatedAt, &t.ExpiresAt)
		t.Uses = int(uses)
		return err
	}, hash, string(purpose), now)
	if err == nil && t == nil {
		err = notFound("Ticket")
	}
	return t, err
}

// Secret gives the secret kept under a name. See auth.Store.
func (s *Store) Secret(ctx context.Context, name string, candidate []byte) (secret []byte, err error) {
	err = s.db.Write(ctx, "secret", func(c conn) error {
		if err := database.Exec(c, "-- name: add_secret\nINSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, candidate); err != nil {
			return err
		}
		return database.Query(c, "-- name: secret\nSELECT value FROM meta WHERE name = $1", func(r row) error { return r.Scan(&secret) }, name)
	})
	return secret, err
}
