package auth

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Store stores users, log-ins and tickets. Its methods return a chat.NotFound error for
// what does not exist; each is one unit of work.
type Store interface {
	// CreateAccount adds a user with a password. The first user becomes an administrator
	// in the same transaction. It returns chat.Conflict for an email that is taken
	// (ignoring case). It spends an invitation that is not zero in the same transaction,
	// and returns chat.Forbidden if that is not valid. With onlyFirst, it returns
	// chat.Forbidden if a user with a password exists.
	CreateAccount(
		ctx context.Context, a model.Account, invitation model.TokenHash, onlyFirst bool,
	) (created chat.User, err error)
	// AccountByEmail ignores case.
	AccountByEmail(ctx context.Context, email string) (*model.Account, error)
	Account(ctx context.Context, id chat.UserID) (*model.Account, error)
	// SetPassword replaces the password and closes the user's log-ins except keep; it
	// returns the closed ones.
	SetPassword(ctx context.Context, user chat.UserID, hash string, keep model.TokenHash) ([]model.TokenHash, error)
	SetVerified(ctx context.Context, user chat.UserID) error
	// SetActive enables or disables a user; disabling closes all log-ins and returns
	// them.
	SetActive(ctx context.Context, user chat.UserID, active bool) ([]model.TokenHash, error)
	// EnsureUser creates or updates the user of a host application's token. It writes
	// only fields that differ, and never the password, IsAdmin or IsActive of an existing
	// user. Empty and nil fields of u leave the stored ones. It returns the user as
	// stored.
	EnsureUser(ctx context.Context, u chat.User) (chat.User, error)

	OpenSession(ctx context.Context, s model.Login) error
	// Session returns an open log-in and its user. Simultaneous look-ups share a
	// statement.
	Session(ctx context.Context, hash model.TokenHash) (*model.Login, *chat.User, error)
	CloseSession(ctx context.Context, hash model.TokenHash) error
	// DeleteExpired deletes log-ins and tickets that expired before t.
	DeleteExpired(ctx context.Context, t chat.Time) error

	AddTicket(ctx context.Context, t model.Ticket) error
	// SpendTicket uses a ticket once. It returns chat.NotFound if the ticket is unknown,
	// used up, expired at now, or for another purpose.
	SpendTicket(
		ctx context.Context, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time,
	) (*model.Ticket, error)

	// Secret returns the secret stored under name, and stores candidate if there is
	// none: all nodes of one database get the same secret.
	Secret(ctx context.Context, name string, candidate []byte) ([]byte, error)
}

// Rehasher is a Store that can replace a hash with a stronger one of the same password,
// without closing any log-in. It does nothing if the stored hash is not old.
type Rehasher interface {
	ReplaceHash(ctx context.Context, user chat.UserID, old, hash string) error
}
