package store

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/database"
	"github.com/chowk-chat/chowk/internal/database/table"
	"github.com/chowk-chat/chowk/internal/model"
)

var ticketColumns = table.Columns[model.Ticket]{
	table.Hash("hash", func(t *model.Ticket) *model.TokenHash { return &t.Hash }),
	table.Text("purpose", func(t *model.Ticket) *string { return (*string)(&t.Purpose) }),
	table.User("user_id", func(t *model.Ticket) *chat.UserID { return &t.UserID }),
	table.Text("email", func(t *model.Ticket) *string { return &t.Email }),
	table.Int("uses", func(t *model.Ticket) *int { return &t.Uses }),
	table.Time("created_at", func(t *model.Ticket) *chat.Time { return &t.CreatedAt }),
	table.Time("expires_at", func(t *model.Ticket) *chat.Time { return &t.ExpiresAt }),
}

var (
	insertTicket    = table.Insert("add_ticket", "tickets", ticketColumns, " ON CONFLICT DO NOTHING")
	decrementTicket = `-- name: spend_ticket
		UPDATE tickets SET uses = uses - 1 WHERE hash = $1 AND purpose = $2 AND uses > 0 AND expires_at > $3
		RETURNING ` + ticketColumns.List("")
)

// AddTicket stores a ticket. See auth.Store.
func (s *Store) AddTicket(ctx context.Context, t model.Ticket) error {
	return s.db.Write(ctx, "add_ticket", func(c conn) error {
		insertTicket.Queue(c, &t)
		return nil
	})
}

// SpendTicket uses a ticket once. See auth.Store.
func (s *Store) SpendTicket(
	ctx context.Context, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time,
) (t *model.Ticket, err error) {
	err = s.db.Write(ctx, "spend_ticket", func(c conn) error {
		t, err = spendTicket(c, hash, purpose, now)
		return err
	})
	return t, err
}

func spendTicket(
	c conn, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time,
) (t *model.Ticket, err error) {
	spent := ticketColumns.All(func(found *model.Ticket) { t = found })
	err = database.Query(c, decrementTicket, spent, hash, string(purpose), now)
	if err == nil && t == nil {
		err = notFound("Ticket")
	}
	return t, err
}

// Secret returns the secret stored under a name, and stores the candidate first when there
// is none. See auth.Store.
func (s *Store) Secret(ctx context.Context, name string, candidate []byte) (secret []byte, err error) {
	err = s.db.Write(ctx, "secret", func(c conn) error {
		const add = "-- name: add_secret\nINSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"
		if err := database.Exec(c, add, name, candidate); err != nil {
			return err
		}
		return database.Query(c, "-- name: secret\nSELECT value FROM meta WHERE name = $1",
			func(r row) error { return r.Scan(&secret) }, name)
	})
	return secret, err
}
