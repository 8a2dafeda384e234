package database

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Errors in which units of work end when the database cannot do them. With the first
// two the work was certainly not done.
var (
	ErrOverloaded = &chat.Error{
		Code: chat.Overloaded, Message: "The database is busy. Try again in a moment.",
		RetryAfter: 500 * time.Millisecond,
	}
	ErrUnavailable = &chat.Error{
		Code: chat.Unavailable, Message: "The database cannot be reached. Try again in a moment.",
		RetryAfter: time.Second,
	}
	// ErrNotBegun means in addition that no statement was sent.
	ErrNotBegun = errors.New("no connection")
)

// refusal holds the cause for the log and the error for clients.
type refusal struct {
	cause  error
	client *chat.Error // kind, with its own RetryAfter
	kind   *chat.Error
}

// Error returns the cause.
func (r *refusal) Error() string { return r.cause.Error() }

// Unwrap returns the error for clients first, so that chat.AsError finds it.
func (r *refusal) Unwrap() []error { return []error{r.client, r.kind, r.cause} }

// Overloaded returns an ErrOverloaded with its cause.
func Overloaded(cause error) error { return refuse(cause, ErrOverloaded) }

// Unavailable returns an ErrUnavailable with its cause.
func Unavailable(cause error) error { return refuse(cause, ErrUnavailable) }

// outcomeUnknown is for a change that may have been committed.
func outcomeUnknown(cause error) error { return refuse(cause, chat.ErrOutcomeUnknown) }

// refuse adds jitter to RetryAfter, so that clients refused together do not return
// together.
func refuse(cause error, kind *chat.Error) error {
	client := *kind
	client.RetryAfter = client.RetryAfter/2 + rand.N(client.RetryAfter) //nolint:gosec // jitter
	return &refusal{cause: cause, client: &client, kind: kind}
}
