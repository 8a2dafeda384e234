// Package model is the values that packages inside the server hand to each other and
// that never reach a client: accounts, log-ins, tickets, revocations and queries.
package model

import "github.com/chowk-chat/chowk/chat"

// Account is a user who logs in here, with what proves it is them.
type Account struct {
	chat.User
	// PasswordHash is an argon2id hash in PHC format, "" for a user whom the host
	// application vouches for.
	PasswordHash string
}

// TokenHash is the SHA-256 of a secret that its holder keeps and we do not.
type TokenHash [32]byte

// Login is one log-in. It ends at ExpiresAt, or when it is closed.
type Login struct {
	Hash      TokenHash
	UserID    chat.UserID
	CreatedAt chat.Time
	ExpiresAt chat.Time
}

// TicketPurpose says what a ticket is good for.
type TicketPurpose string

// The purposes.
const (
	TicketInvitation    TicketPurpose = "invitation"
	TicketVerifyEmail   TicketPurpose = "verify_email"
	TicketResetPassword TicketPurpose = "reset_password"
)

// Ticket is a secret that allows one thing a number of times.
type Ticket struct {
	Hash      TokenHash
	Purpose   TicketPurpose
	UserID    chat.UserID // whom it is about; of an invitation, who invites
	Email     string      // the address it was sent to, "" when it was not
	Uses      int         // how often it still works
	CreatedAt chat.Time
	ExpiresAt chat.Time
}

// Revocation says that access ended, and which: of a session, or without a hash of
// all that the user has, because he was disabled. Enabled takes the latter back.
type Revocation struct {
	ID      int64 // a later one has a higher number, but for some moments
	UserID  chat.UserID
	Hash    TokenHash
	Enabled bool
}
