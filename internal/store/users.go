package store

import (
	"context"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/model"
)

var userColumns = table.Columns[chat.User]{
	table.User("id", func(u *chat.User) *chat.UserID { return &u.ID }),
	table.Text("name", func(u *chat.User) *string { return &u.Name }),
	table.NullableText("email", func(u *chat.User) **string { return &u.Email }),
	table.NullableText("picture", func(u *chat.User) **string { return &u.Picture }),
	table.NullableText("first_name", func(u *chat.User) **string { return &u.FirstName }),
	table.NullableText("last_name", func(u *chat.User) **string { return &u.LastName }),
	table.NullableText("phone", func(u *chat.User) **string { return &u.Phone }),
	table.Text("role", func(u *chat.User) *string { return &u.Role }),
	table.Bool("is_admin", func(u *chat.User) *bool { return &u.IsAdmin }),
	table.Bool("is_active", func(u *chat.User) *bool { return &u.IsActive }),
	table.Bool("is_verified", func(u *chat.User) *bool { return &u.IsVerified }),
	table.Time("created_at", func(u *chat.User) *chat.Time { return &u.CreatedAt }),
}

// refColumns are what is shown of a user next to a message. A user who is unknown has no
// name.
const refColumns = "COALESCE(u.name, ''), u.picture"

// FindUsers lists active users by the beginning of a name, an email or an id. See
// command.Store.
func (s *Store) FindUsers(ctx context.Context, text string, limit int) ([]chat.User, error) {
	return s.usersBy(ctx, "find_users", `WHERE u.is_active AND (lower(u.name) LIKE $1 ESCAPE '\'
			OR lower(COALESCE(u.email, '')) LIKE $1 ESCAPE '\' OR lower(u.id) LIKE $1 ESCAPE '\')
		ORDER BY lower(u.name), u.id LIMIT $2`, likePattern(text)+"%", limit)
}

// likePattern returns a pattern that matches what a user typed, without regard to case.
func likePattern(s string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(s))
}

// usersByID is the condition that finds users by their ids.
const usersByID = "WHERE u.id = ANY($1)"

func (s *Store) usersBy(ctx context.Context, unit, where string, args ...any) (all []chat.User, err error) {
	err = s.db.Read(ctx, unit, func(c conn) error {
		all = []chat.User{}
		sql := database.NameMark + unit + "\nSELECT " + userColumns.List("u.") + " FROM users u " + where
		return database.Query(c, sql, userColumns.All(func(u *chat.User) { all = append(all, *u) }), args...)
	})
	return all, err
}

// SharesChannel returns those of the users who share a channel with the viewer. See
// command.Store.
func (s *Store) SharesChannel(
	ctx context.Context, viewer chat.UserID, users []chat.UserID,
) (known []chat.UserID, err error) {
	err = s.db.Read(ctx, "shares_channel", func(c conn) error {
		known = []chat.UserID{}
		return database.Query(c, `-- name: shares_channel
			SELECT u.id FROM users u WHERE u.id = ANY($1) AND (u.id = $2 OR EXISTS (
				SELECT 1 FROM members theirs
				JOIN members mine ON mine.channel_id = theirs.channel_id AND mine.user_id = $2
				WHERE theirs.user_id = u.id))
			ORDER BY u.id`,
			func(r row) error {
				var id chat.UserID
				err := r.Scan(&id)
				known = append(known, id)
				return err
			}, users, viewer)
	})
	return known, err
}

var errEmailTaken = &chat.Error{Code: chat.Conflict, Field: "email", Message: "Email already registered"}

// checkEmailFree refuses an email that another user has.
func checkEmailFree(c conn, email string, except chat.UserID) error {
	taken := false
	err := database.Query(c, "-- name: email_taken\nSELECT 1 FROM users WHERE lower(email) = $1 AND id <> $2",
		func(row) error { taken = true; return nil }, strings.ToLower(email), except)
	if err == nil && taken {
		err = errEmailTaken
	}
	return err
}

var accountColumns = table.Within(userColumns, func(a *model.Account) *chat.User { return &a.User }).And(
	table.Text("password_hash", func(a *model.Account) *string { return &a.PasswordHash }))

var (
	insertUser = table.Insert("put_user", "users", accountColumns, "")
	// upsertUser leaves as it is what a token does not contain.
	upsertUser = table.Insert("put_user", "users", accountColumns, ` ON CONFLICT (id) DO UPDATE SET
		name = COALESCE(NULLIF(excluded.name, ''), users.name),
		email = COALESCE(excluded.email, users.email), picture = COALESCE(excluded.picture, users.picture),
		first_name = COALESCE(excluded.first_name, users.first_name),
		last_name = COALESCE(excluded.last_name, users.last_name),
		is_verified = excluded.is_verified`)
)

// putUser queues the insertion of a user.
func putUser(c conn, statement table.Statement[model.Account], a model.Account) {
	if a.Role == "" {
		a.Role = "student"
	}
	statement.Queue(c, &a)
}
