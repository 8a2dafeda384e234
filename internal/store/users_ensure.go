package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/model"
)

// ensured is the outcome for the user of one token.
type ensured struct {
	user chat.User
	err  error
}

// EnsureUser creates or updates the user of a host application's token. Calls made at
// the same time share their statements, but each has its own outcome. See auth.Store.
func (s *Store) EnsureUser(ctx context.Context, u chat.User) (stored chat.User, err error) {
	e, _, err := s.ensured.get(ctx, &u)
	if err != nil {
		return chat.User{}, err
	}
	return e.user, e.err
}

// ensureUsers reads before it writes: most tokens change nothing, and when many arrive at
// once they cost one read for a few hundred of them.
func (s *Store) ensureUsers(ctx context.Context, tokens []*chat.User) (map[*chat.User]ensured, error) {
	stored, err := s.usersBy(ctx, "users", usersByID, userIDs(tokens))
	if err != nil {
		return nil, err
	}
	byID := make(map[chat.UserID]chat.User, len(stored))
	for _, u := range stored {
		byID[u.ID] = u
	}
	all := make(map[*chat.User]ensured, len(tokens))
	var changed []*chat.User
	for _, u := range tokens {
		if old, exists := byID[u.ID]; exists && unchanged(&old, u) {
			all[u] = ensured{user: old}
		} else {
			changed = append(changed, u)
		}
	}
	if len(changed) > 0 {
		err = s.putUsers(ctx, changed, all)
	}
	return all, err
}

// unchanged reports whether a token changes nothing. What it does not contain remains as
// it is.
func unchanged(old, token *chat.User) bool {
	kept := func(old, token *string) bool { return token == nil || old != nil && *old == *token }
	return (token.Name == "" || old.Name == token.Name) && old.IsVerified == token.IsVerified &&
		kept(old.Email, token.Email) && kept(old.Picture, token.Picture) &&
		kept(old.FirstName, token.FirstName) && kept(old.LastName, token.LastName)
}

// putUsers writes users in one transaction. When the database rejects something in it, the
// users are halved again and again, so that one bad token fails alone. It returns an error
// when nothing has begun.
func (s *Store) putUsers(ctx context.Context, users []*chat.User, all map[*chat.User]ensured) error {
	// In one order everywhere, so that two nodes never wait for each other's rows.
	slices.SortStableFunc(users, func(a, b *chat.User) int { return cmp.Compare(a.ID, b.ID) })
	var done map[*chat.User]ensured
	err := s.db.Write(ctx, "ensure_user", func(c conn) (err error) {
		done, err = putTogether(c, users)
		return err
	})
	if errors.Is(err, database.ErrNotBegun) {
		return err
	}
	if err != nil && len(users) > 1 && isStatementError(err) {
		half := len(users) / 2
		for _, part := range [][]*chat.User{users[:half], users[half:]} {
			if err := s.putUsers(ctx, part, all); err != nil {
				failAll(part, err, all)
			}
		}
		return nil
	}
	for _, u := range users {
		s.forgetUser(u.ID)
		all[u] = done[u]
	}
	if err != nil {
		failAll(users, err, all)
	}
	return nil
}

func failAll(users []*chat.User, err error, all map[*chat.User]ensured) {
	for _, u := range users {
		all[u] = ensured{err: err}
	}
}

func putTogether(c conn, users []*chat.User) (done map[*chat.User]ensured, err error) {
	owners, err := emailOwners(c, users)
	if err != nil {
		return nil, err
	}
	done = make(map[*chat.User]ensured, len(users))
	for _, u := range users {
		if u.Email != nil {
			email := strings.ToLower(*u.Email)
			if owner, taken := owners[email]; taken && owner != u.ID {
				done[u] = ensured{err: errEmailTaken}
				continue
			}
			owners[email] = u.ID
		}
		putUser(c, upsertUser, model.Account{User: *u})
	}
	stored := make(map[chat.UserID]chat.User, len(users))
	c.Queue("-- name: user\nSELECT "+userColumns.List("u.")+" FROM users u "+usersByID, []any{userIDs(users)},
		userColumns.All(func(u *chat.User) { stored[u.ID] = *u }))
	if err := c.Flush(); err != nil {
		return nil, err
	}
	for _, u := range users {
		if _, refused := done[u]; !refused {
			done[u] = ensured{user: stored[u.ID]}
		}
	}
	return done, nil
}

// emailOwners returns the users who have the users' emails, by email in lower case.
func emailOwners(c conn, users []*chat.User) (map[string]chat.UserID, error) {
	owners := make(map[string]chat.UserID)
	var emails []string
	for _, u := range users {
		if u.Email != nil {
			emails = append(emails, strings.ToLower(*u.Email))
		}
	}
	if len(emails) == 0 {
		return owners, nil
	}
	err := database.Query(c, `-- name: email_owners
		SELECT lower(u.email), u.id FROM users u WHERE lower(u.email) = ANY($1)`,
		func(r row) error {
			var email string
			var id chat.UserID
			err := r.Scan(&email, &id)
			owners[email] = id
			return err
		}, emails)
	return owners, err
}

func userIDs(users []*chat.User) []chat.UserID {
	ids := make([]chat.UserID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	return ids
}
