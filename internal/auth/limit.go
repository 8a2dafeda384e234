package auth

import (
	"net/netip"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// limiter limits how often something may be tried for each key.
type limiter struct{ *ratelimit.Keyed[string] }

func newLimiter(burst int, every time.Duration, now func() time.Time) limiter {
	rate := ratelimit.Rate{Every: every, Burst: burst}
	return limiter{ratelimit.NewKeyed[string](rate, ratelimit.Options{Now: now})}
}

// take counts one attempt, or returns an error that says when the next is allowed.
func (l limiter) take(key string) error {
	wait, ok := l.Take(key)
	if ok {
		return nil
	}
	return &chat.Error{Code: chat.RateLimited, Message: "Too many attempts. Try again later.", RetryAfter: wait}
}

// addrKey counts an IPv6 customer, who has a /64, as one.
func addrKey(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}
