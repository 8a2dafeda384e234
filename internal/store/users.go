package store

import (
	"context"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// FindUsers lists active users by the beginning of a name, an email or an id. See
// command.Store.
func (s *Store) FindUsers(ctx context.Context, text string, limit int) ([]chat.User, error) {
	return s.usersBy(ctx, "find_users", `WHERE u.is_active AND (lower(u.name) LIKE $1 ESCAPE '\' OR lower(COALESCE(u.email, '')) LIKE $1 ESCAPE '\' OR lower(u.id) LIKE $1 ESCAPE '\')
		ORDER BY lower(u.name), u.id LIMIT $2`, like(text)+"%", limit)
}

func (s *Store) usersBy(ctx context.Context, unit, where string, args ...any) (all []chat.User, err error) {
	err = s.db.Read(ctx, unit, func(c conn) error {
		all = []chat.User{}
		return database.Query(c, database.NameMark+unit+"\nSELECT "+userColumns+" FROM users u "+where, func(r row) error {
			all = append(all, chat.User{})
			return r.Scan(userInto(&all[len(all)-1])...)
		}, args...)
	})
	return all, err
}

// SharesChannel gives those of the users who share a channel with viewer. See
// command.Store.
func (s *Store) SharesChannel(ctx context.Context, viewer chat.UserID, users []chat.UserID) (known []chat.UserID, err error) {
	err = s.db.Read(ctx, "acquainted", func(c conn) error {
		known = []chat.UserID{}
		return database.Query(c, `-- name: acquainted
			SELECT u.id FROM users u WHERE u.id = ANY($1) AND (u.id = $2 OR EXISTS (
			SELECT 1 FROM members theirs JOIN members mine ON mine.channel_id = theirs.channel_id AND mine.user_id = $2 WHERE theirs.user_id = u.id)) ORDER BY u.id`, func(r row) error {
			var id chat.UserID
			err := r.Scan(&id)
			known = append(known, id)
			return err
		}, users, viewer)
	})
	return known, err
}

// unchanged says whether u brings nothing new. What it leaves out stays as it is.
func unchanged(old, u chat.User) bool {
	kept := func(old, now *string) bool { return now == nil || same(old, now) }
	return (u.Name == "" || old.Name == u.Name) && kept(old.Email, u.Email) && kept(old.Picture, u.Picture) &&
		kept(old.FirstName, u.FirstName) && kept(old.LastName, u.LastName) && old.IsVerified == u.IsVerified
}

func emailIsFree(c conn, email string, except chat.UserID) error {
	taken := false
	err := database.Query(c, "-- name: email_taken\nSELECT 1 FROM users WHERE lower(email) = $1 AND id <> $2", func(row) error { taken = true; return nil }, strings.ToLower(email), except)
	if err == nil && taken {
		err = errEmailTaken
	}
	return err
}

var errEmailTaken = &chat.Error{Code: chat.Conflict, Field: "email", Message: "Email already registered"}

func insertUser(c conn, a model.Account) error {
	putUser(c, a, "")
	return c.Flush()
}

// putUser queues the insertion of a user, and what to do when there is one.
func putUser(c conn, a model.Account, conflict string) {
	u := a.User
	if u.Role == "" {
		u.Role = "student"
	}
	c.Queue(`-- name: put_user
		INSERT INTO users (id, name, email, picture, first_name, last_name, phone, role, is_admin, is_active, is_verified, password_hash, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`+conflict,
		[]any{u.ID, u.Name, u.Email, u.Picture, u.FirstName, u.LastName, u.Phone, u.Role, u.IsAdmin, u.IsActive, u.IsVerified, a.PasswordHash, u.CreatedAt}, nil)
}

func same(a, b *string) bool { return a != nil && b != nil && *a == *b }
