package store

import (
	"context"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// CreateAccount adds a user with a password. See auth.Store.
func (s *Store) CreateAccount(
	ctx context.Context, a model.Account, invitation model.TokenHash, onlyFirst bool,
) (created chat.User, err error) {
	defer s.forgetUser(a.ID)
	err = s.db.Write(ctx, "create_account", func(c conn) error {
		if err := lockAccounts(c); err != nil {
			return err
		}
		if err := checkEmailFree(c, *a.Email, a.ID); err != nil {
			return err
		}
		others, err := countAccounts(c)
		if err != nil {
			return err
		}
		if onlyFirst && others > 0 {
			return chat.Errorf(chat.Forbidden, "Sign-up is closed. Ask the administrator for an account.")
		}
		if invitation != (model.TokenHash{}) {
			if _, err := spendTicket(c, invitation, model.TicketInvitation, a.CreatedAt); err != nil {
				return chat.Errorf(chat.Forbidden, "This invitation has expired or was already used. Ask for a new one.")
			}
		}
		account := a
		account.IsAdmin = others == 0
		created = account.User
		putUser(c, insertUser, account)
		return nil
	})
	return created, err
}

// lockAccounts makes transactions that create accounts wait for each other, so that only
// one user becomes the first.
func lockAccounts(c conn) error {
	return database.Exec(c, `-- name: lock_accounts
		INSERT INTO meta (name, value) VALUES ('accounts', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
		[]byte("taken"))
}

func countAccounts(c conn) (n int64, err error) {
	err = database.Query(c, "-- name: count_accounts\nSELECT count(*) FROM users WHERE password_hash <> ''",
		func(r row) error { return r.Scan(&n) })
	return n, err
}

// AccountByEmail compares without regard to case. See auth.Store.
func (s *Store) AccountByEmail(ctx context.Context, email string) (*model.Account, error) {
	return s.account(ctx, "account_by_email", "lower(u.email) = $1", strings.ToLower(email))
}

// Account returns a user with the password's hash. See auth.Store.
func (s *Store) Account(ctx context.Context, id chat.UserID) (*model.Account, error) {
	return s.account(ctx, "account", "u.id = $1", id)
}

func (s *Store) account(ctx context.Context, name, where string, arg any) (a *model.Account, err error) {
	err = s.db.Read(ctx, name, func(c conn) error {
		a = nil
		sql := database.NameMark + name + "\nSELECT " + accountColumns.List("u.") + " FROM users u WHERE " + where
		err := database.Query(c, sql, accountColumns.All(func(found *model.Account) { a = found }), arg)
		if err == nil && a == nil {
			err = notFound("User")
		}
		return err
	})
	return a, err
}

// SetPassword replaces the password and closes the user's log-ins except keep. See
// auth.Store.
func (s *Store) SetPassword(
	ctx context.Context, user chat.UserID, hash string, keep model.TokenHash,
) (closed []model.TokenHash, err error) {
	err = s.db.Write(ctx, "set_password", func(c conn) error {
		const sql = "-- name: set_password\nUPDATE users SET password_hash = $2 WHERE id = $1 RETURNING id"
		if err := updateUser(c, sql, user, hash); err != nil {
			return err
		}
		closed, err = closeLogins(c, user, keep)
		return err
	})
	return closed, err
}

// SetVerified records that the user's email is theirs. See auth.Store.
func (s *Store) SetVerified(ctx context.Context, user chat.UserID) error {
	defer s.forgetUser(user)
	return s.db.Write(ctx, "set_verified", func(c conn) error {
		const sql = "-- name: set_verified\nUPDATE users SET is_verified = $2 WHERE id = $1 RETURNING id"
		return updateUser(c, sql, user, true)
	})
}

// SetActive enables or disables a user. See auth.Store.
func (s *Store) SetActive(ctx context.Context, user chat.UserID, active bool) (closed []model.TokenHash, err error) {
	defer s.forgetUser(user)
	err = s.db.Write(ctx, "set_active", func(c conn) error {
		const sql = "-- name: set_active\nUPDATE users SET is_active = $2 WHERE id = $1 RETURNING id"
		if err := updateUser(c, sql, user, active); err != nil {
			return err
		}
		addRevocation(c, user, model.TokenHash{}, active)
		if active {
			return c.Flush()
		}
		closed, err = closeLogins(c, user, model.TokenHash{})
		return err
	})
	return closed, err
}

// updateUser sets one column, and fails when there is no such user.
func updateUser(c conn, sql string, user chat.UserID, value any) error {
	found := false
	err := database.Query(c, sql, func(row) error { found = true; return nil }, user, value)
	if err == nil && !found {
		err = notFound("User")
	}
	return err
}

// ReplaceHash replaces the hash old with a stronger one of the same password, unless the
// password has changed meanwhile. See auth.Rehasher.
func (s *Store) ReplaceHash(ctx context.Context, user chat.UserID, old, hash string) error {
	return s.db.Write(ctx, "replace_hash", func(c conn) error {
		return database.Exec(c, `-- name: replace_hash
			UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2`, user, old, hash)
	})
}
