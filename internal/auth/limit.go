package auth

import (
	"net/netip"
	"strconv"
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

// take counts one attempt, or returns a rate_limited error with the time until the
// next one is allowed.
func (l limiter) take(key string) error {
	wait, ok := l.Take(key)
	if ok {
		return nil
	}
	return &chat.Error{
		Code: chat.RateLimited, Message: "Too many attempts. Try again in " + waitText(wait) + ".", RetryAfter: wait,
	}
}

// waitText returns d in words, rounded up: "1 second", "5 minutes".
func waitText(d time.Duration) string {
	n, unit := int64((d+time.Second-1)/time.Second), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
	}
	if n = max(n, 1); n == 1 {
		return "1 " + unit
	}
	return strconv.FormatInt(n, 10) + " " + unit + "s"
}

// addrKey returns the key of an address for limiters. All addresses of an IPv6 /64,
// the usual size of one customer's network, have the same key.
func addrKey(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}
