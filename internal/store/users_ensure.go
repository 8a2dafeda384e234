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

// ensured is what became of one user of a token.
type ensured struct {
	user chat.User
	err  error
}

// EnsureUser makes or brings up to date the user of a host application's token.
// Calls made at the same time share their statements, each with an outcome of its
// own. See auth.Store.
func (s *Store) EnsureUser(ctx context.Context, u chat.User) (stored chat.User, err error) {
	e, _, err := s.ensured.get(ctx, &u)
	if err != nil {
		return chat.User{}, err
	}
	return e.user, e.err
}

// ensureUsers looks first: most tokens bring nothing new, and a storm of them costs
// one read for each few hundred.
func (s *Store) ensureUsers(ctx context.Context, tokens []*chat.User) (map[*chat.User]ensured, error) {
	known, err := s.usersBy(ctx, "users", "WHERE u.id = ANY($1)", userIDs(tokens))
	if err != nil {
		return nil, err
	}
	byID := make(map[chat.UserID]chat.User, len(known))
	for _, u := range known {
		byID[u.ID] = u
	}
	all := make(map[*chat.User]ensured, len(tokens))
	var news []*chat.User
	for _, u := range tokens {
		if old, is := byID[u.ID]; is && unchanged(old, *u) {
			all[u] = ensured{user: old}
		} else {
			news = append(news, u)
		}
	}
	if len(news) > 0 {
		err = s.putUsers(ctx, news, all)
	}
	return all, err
}

// putUsers writes what is new in one transaction. When the database takes offence
// at something in it, it is halved again and again, so that one bad token harms
// nobody else. It fails as a whole when nothing has begun.
func (s *Store) putUsers(ctx context.Context, news []*chat.User, all map[*chat.User]ensured) error {
	// In one order everywhere: two nodes must not wait for each other's rows.
	slices.SortStableFunc(news, func(a, b *chat.User) int { return cmp.Compare(a.ID, b.ID) })
	var done map[*chat.User]ensured
	err := s.db.Write(ctx, "ensure_user", func(c conn) (err error) {
		done, err = putTogether(c, news)
		return err
	})
	if errors.Is(err, database.ErrNotBegun) {
		return err
	}
	if err != nil && len(news) > 1 && isStatementError(err) {
		half := len(news) / 2
		for _, part := range [][]*chat.User{news[:half], news[half:]} {
			if err := s.putUsers(ctx, part, all); err != nil {
				failAll(part, err, all)
			}
		}
		return nil
	}
	for _, u := range news {
		s.forgetUser(u.ID)
		all[u] = done[u]
	}
	if err != nil {
		failAll(news, err, all)
	}
	return nil
}

func failAll(users []*chat.User, err error, all map[*chat.User]ensured) {
	for _, u := range users {
		all[u] = ensured{err: err}
	}
}

func putTogether(c conn, news []*chat.User) (done map[*chat.User]ensured, err error) {
	owners, err := emailOwners(c, news)
	if err != nil {
		return nil, err
	}
	done = make(map[*chat.User]ensured, len(news))
	for _, u := range news {
		if u.Email != nil {
			email := strings.ToLower(*u.Email)
			if owner, taken := owners[email]; taken && owner != u.ID {
				done[u] = ensured{err: errEmailTaken}
				continue
			}
			owners[email] = u.ID
		}
		putUser(c, model.Account{User: *u}, ` ON CONFLICT (id) DO UPDATE SET name = COALESCE(NULLIF(excluded.name, ''), users.name),
			email = COALESCE(excluded.email, users.email), picture = COALESCE(excluded.picture, users.picture),
			first_name = COALESCE(excluded.first_name, users.first_name), last_name = COALESCE(excluded.last_name, users.last_name),
			is_verified = excluded.is_verified`)
	}
	stored := make(map[chat.UserID]chat.User, len(news))
	c.Queue("-- name: user\nSELECT "+userColumns+" FROM users u WHERE u.id = ANY($1)", []any{userIDs(news)}, func(r row) error {
		var u chat.User
		err := r.Scan(userInto(&u)...)
		stored[u.ID] = u
		return err
	})
	if err := c.Flush(); err != nil {
		return nil, err
	}
	for _, u := range news {
		if _, refused := done[u]; !refused {
			done[u] = ensured{user: stored[u.ID]}
		}
	}
	return done, nil
}

// emailOwners tells whose the users' emails are, in lower case.
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
	err := database.Query(c, "-- name: email_owners\nSELECT lower(u.email), u.id FROM users u WHERE lower(u.email) = ANY($1)", func(r row) error {
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
