package api

import (
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

const (
	writesPerSecond = 50
	writesBurst     = 100
)

// writes limits the rate of changes of each user.
type writes struct {
	users *ratelimit.Keyed[chat.UserID]
}

func newWrites(now func() time.Time) writes {
	rate := ratelimit.PerSecond(writesPerSecond, writesBurst)
	return writes{ratelimit.NewKeyed[chat.UserID](rate, ratelimit.Options{Now: now})}
}

// take counts one change, or returns a rate_limited error with the time until the next
// one is allowed.
func (w writes) take(u chat.UserID) error {
	wait, ok := w.users.Take(u)
	if ok {
		return nil
	}
	return &chat.Error{Code: chat.RateLimited, Message: "Rate limit exceeded. Try again in a moment.", RetryAfter: wait}
}
