package auth

import (
	"context"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Store keeps users, sessions and tickets. What is not there is a chat.NotFound
// error; each method is one unit of work.
type Store interface {
	// CreateAccount adds a user with a password. The first user ever is made an
	// administrator, in the same transaction; first says so. An email (compared
	// without regard to case) that is taken is a chat.Conflict. A ticket that is not zero is
	// spent in the same transaction, and chat.Forbidden when it is not good for an
	// invitation (any more). onlyFirst refuses with chat.Forbidden when there is
	// a user with a password already.
	CreateAccount(ctx context.Context, a model.Account, invitation model.TokenHash, onlyFirst bool) (created chat.User, err error)
	// AccountByEmail compares without regard to case.
	AccountByEmail(ctx context.Context, email string) (*model.Account, error)
	Account(ctx context.Context, id chat.UserID) (*model.Account, error)
	// SetPassword replaces the password and closes the user's sessions but for
	// keep; it returns those closed.
	SetPassword(ctx context.Context, user chat.UserID, hash string, keep model.TokenHash) ([]model.TokenHash, error)
	SetVerified(ctx context.Context, user chat.UserID) error
	// SetActive enables or disables a user; disabling closes all sessions and
	// returns them.
	SetActive(ctx context.Context, user chat.UserID, active bool) ([]model.TokenHash, error)
	// EnsureUser makes or brings up to date the user of a host application's
	// token; it writes only what differs and never touches the password, IsAdmin
	// or IsActive of a user who exists. Empty and nil fields of u say nothing: they
	// leave what is stored. It returns the user as stored.
	EnsureUser(ctx context.Context, u chat.User) (chat.User, error)

	OpenSession(ctx context.Context, s model.Login) error
	// Session finds an open session and its user. Look-ups that happen at the same
	// time share a statement.
	Session(ctx context.Context, hash model.TokenHash) (*model.Login, *chat.User, error)
	CloseSession(ctx context.Context, hash model.TokenHash) error
	// DeleteExpired removes sessions and tickets that expired before t.
	DeleteExpired(ctx context.Context, t chat.Time) error

	AddTicket(ctx context.Context, t model.Ticket) error
	// SpendTicket takes one use of a ticket; chat.NotFound when it is unknown,
	// used up, expired at the time now, or for something else.
	SpendTicket(ctx context.Context, hash model.TokenHash, purpose model.TicketPurpose, now chat.Time) (*model.Ticket, error)

	// Secret returns the secret kept under name, storing candidate as it when
	// there is none yet: all nodes of one database get the same.
	Secret(ctx context.Context, name string, candidate []byte) ([]byte, error)
}

// Rehasher is a Store that replaces a hash by a stronger one of the same password,
// which closes no session. It does nothing when the stored hash is not old.
type Rehasher interface {
	ReplaceHash(ctx context.Context, user chat.UserID, old, hash string) error
}
