package store

import (
	"context"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// CreateAccount adds a user with a password. See auth.Store.
func (s *Store) CreateAccount(ctx context.Context, a model.Account, invitation model.TokenHash, onlyFirst bool) (created chat.User, err error) {
	defer s.forgetUser(a.ID)
	err = s.db.Write(ctx, "create_account", func(c conn) error {
		// Two first users at once: the row of the administrator decides. (SQLite has one writer.)
		if err := database.Exec(c, "-- name: lock_accounts\nINSERT INTO meta (name, value) VALUES ('accounts', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value", []byte("taken")); err != nil {
			return err
		}
		if err := emailIsFree(c, *a.Email, a.ID); err != nil {
			return err
		}
		var others int64
		if err := database.Query(c, "-- name: count_accounts\nSELECT count(*) FROM users WHERE password_hash <> ''", func(r row) error { return r.Scan(&others) }); err != nil {
			return err
		}
		if onlyFirst && others > 0 {
			return chat.Errorf(chat.Forbidden, "Sign-up is closed. Ask the administrator for an account.")
		}
		if invitation != (model.TokenHash{}) {
			if _, err := spend(c, invitation, model.TicketInvitation, a.CreatedAt); err != nil {
				return chat.Errorf(chat.Forbidden, "This invitation is not valid any more. Ask for another.")
			}
		}
		account := a
		account.IsAdmin = others == 0
		created = account.User
		return insertUser(c, account)
	})
	return created, err
}

// AccountByEmail compares without regard to case. See auth.Store.
func (s *Store) AccountByEmail(ctx context.Context, email string) (*model.Account, error) {
	return s.account(ctx, "account_by_email", "lower(u.email) = $1", strings.ToLower(email))
}

// Account gives a user with the password's hash. See auth.Store.
func (s *Store) Account(ctx context.Context, id chat.UserID) (*model.Account, error) {
	return s.account(ctx, "account", "u.id = $1", id)
}

func (s *Store) account(ctx context.Context, name, where string, arg any) (a *model.Account, err error) {
	err = s.db.Read(ctx, name, func(c conn) error {
		a = nil
		err := database.Query(c, database.NameMark+name+"\nSELECT "+userColumns+", u.password_hash FROM users u WHERE "+where, func(r row) error {
			a = new(model.Account)
			return r.Scan(append(userInto(&a.User), &a.PasswordHash)...)
		}, arg)
		if err == nil && a == nil {
			err = notFound("User")
		}
		return err
	})
	return a, err
}

// SetPassword replaces the password and closes sessions. See auth.Store.
func (s *Store) SetPassword(ctx context.Context, user chat.UserID, hash string, keep model.TokenHash) (closed []model.TokenHash, err error) {
	err = s.db.Write(ctx, "set_password", func(c conn) error {
		if err := updateUser(c, "-- name: set_password\nUPDATE users SET password_hash = $2 WHERE id = $1 RETURNING id", user, hash); err != nil {
			return err
		}
		closed, err = closeSessions(c, user, keep)
		return err
	})
	return closed, err
}

// SetVerified notes that the user's email is theirs. See auth.Store.
func (s *Store) SetVerified(ctx context.Context, user chat.UserID) error {
	defer s.forgetUser(user)
	return s.db.Write(ctx, "set_verified", func(c conn) error {
		return updateUser(c, "-- name: set_verified\nUPDATE users SET is_verified = $2 WHERE id = $1 RETURNING id", user, true)
	})
}

// SetActive enables or disables a user. See auth.Store.
func (s *Store) SetActive(ctx context.Context, user chat.UserID, active bool) (closed []model.TokenHash, err error) {
	defer s.forgetUser(user)
	err = s.db.Write(ctx, "set_active", func(c conn) error {
		if err := updateUser(c, "-- name: set_active\nUPDATE users SET is_active = $2 WHERE id = $1 RETURNING id", user, active); err != nil {
			return err
		}
		revoke(c, user, model.TokenHash{}, active)
		if active {
			return c.Flush()
		}
		closed, err = closeSessions(c, user, model.TokenHash{})
		return err
	})
	return closed, err
}

func updateUser(c conn, sql string, user chat.UserID, value any) error {
	found := false
	err := database.Query(c, sql, func(row) error { found = true; return nil }, user, value)
	if err == nil && !found {
		err = notFound("User")
	}
	return err
}

// closeSessions ends all sessions of a user but one, and notes it.
func closeSessions(c conn, user chat.UserID, keep model.TokenHash) (closed []model.TokenHash, err error) {
	err = database.Query(c, "-- name: close_sessions\nDELETE FROM sessions WHERE user_id = $1 AND hash <> $2 RETURNING hash", func(r row) error {
		var h model.TokenHash
		err := r.Scan(&h)
		closed = append(closed, h)
		return err
	}, user, keep)
	if err != nil {
		return nil, err
	}
	for _, h := range closed {
		revoke(c, user, h, false)
	}
	return closed, c.Flush()
}

// ReplaceHash puts a stronger hash of the same password in the place of old, unless
// the password has changed meanwhile. See auth.Rehasher.
func (s *Store) ReplaceHash(ctx context.Context, user chat.UserID, old, hash string) error {
	return s.db.Write(ctx, "replace_hash", func(c conn) error {
		return database.Exec(c, "-- name: replace_hash\nUPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2", user, old, hash)
	})
}
