package model

import "github.com/chowk-chat/chowk/chat"

// Account is a user who logs in here, with what proves their identity.
type Account struct {
	chat.User
	// PasswordHash is an argon2id hash in PHC format. It is "" for a user that the host
	// application vouches for.
	PasswordHash string
}

// TokenHash is the SHA-256 of a secret. Only the secret's holder has the secret itself.
type TokenHash [32]byte

// Login is a log-in: one session of an account. It ends at ExpiresAt, or when it is closed.
type Login struct {
	Hash      TokenHash
	UserID    chat.UserID
	CreatedAt chat.Time
	ExpiresAt chat.Time
}

// TicketPurpose is what a ticket allows.
type TicketPurpose string

// The purposes.
const (
	TicketInvitation    TicketPurpose = "invitation"
	TicketVerifyEmail   TicketPurpose = "verify_email"
	TicketResetPassword TicketPurpose = "reset_password"
)

// Ticket is a secret that allows one action a limited number of times.
type Ticket struct {
	Hash      TokenHash
	Purpose   TicketPurpose
	UserID    chat.UserID // the user it is for; for an invitation, the user who invites
	Email     string      // the address it was sent to, "" when it was not sent
	Uses      int         // uses left
	CreatedAt chat.Time
	ExpiresAt chat.Time
}

// Revocation is an end of access: that of one log-in, or, without a hash, all access of a
// user who was disabled. With Enabled it is the opposite: the user was enabled again.
type Revocation struct {
	// ID grows with time. Revocations committed at almost the same moment may become visible
	// in another order.
	ID      int64
	UserID  chat.UserID
	Hash    TokenHash
	Enabled bool
}
