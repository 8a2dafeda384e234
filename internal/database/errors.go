package database

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// Kinds of errors that units of work end in when there is no database to do them.
var (
	ErrOverloaded  = &chat.Error{Code: chat.Overloaded, Message: "The database is busy. Try again in a moment.", RetryAfter: 500 * time.Millisecond}
	ErrUnavailable = &chat.Error{Code: chat.Unavailable, Message: "The database cannot be reached. Try again in a moment.", RetryAfter: time.Second}
	// ErrNotBegun says besides that no statement was sent.
	ErrNotBegun = errors.New("no connection")
)

// notDone is why a unit of work was not done, for the log, with what clients are
// told.
type notDone struct {
	why  error
	told *chat.Error
	kind *chat.Error // ErrOverloaded or ErrUnavailable
}

func (r *notDone) Error() string { return r.why.Error() }

// Unwrap gives what is told first.
func (r *notDone) Unwrap() []error { return []error{r.told, r.kind, r.why} }

func Overloaded(why error) error  { return refuse(why, ErrOverloaded) }
func Unavailable(why error) error { return refuse(why, ErrUnavailable) }

// outcomeUnknown is for a change that may have been committed: the two others say that
// it was not.
func outcomeUnknown(why error) error { return refuse(why, chat.ErrOutcomeUnknown) }

// refuse spreads those who were refused together over the time in which they try
// again.
func refuse(why error, kind *chat.Error) error {
	told := *kind
	told.RetryAfter = told.RetryAfter/2 + rand.N(told.RetryAfter) //nolint:gosec // jitter
	return &notDone{why: why, told: &told, kind: kind}
}
