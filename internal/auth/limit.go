package auth

import (
	"net/netip"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// limiter lets each key do something burst times at once and then once an
// interval. Of a key it keeps one time: when all that was done would have been done
// at the slow pace (the generic cell rate algorithm).
type limiter struct {
	every time.Duration
	burst int
	max   int // keys kept
	now   func() time.Time

	mu   sync.Mutex // guards what follows
	done map[string]time.Time
}

const maxLimiterKeys = 50_000

func newLimiter(burst int, every time.Duration, now func() time.Time) *limiter {
	return &limiter{every: every, burst: burst, max: maxLimiterKeys, now: now, done: make(map[string]time.Time)}
}

// take counts one, or says when there is one to be had.
func (l *limiter) take(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	at := l.done[key]
	if at.Before(now) {
		at = now
	}
	if wait := at.Add(l.every).Sub(now) - time.Duration(l.burst)*l.every; wait > 0 {
		return &chat.Error{Code: chat.RateLimited, Message: "Too many attempts. Try again later.", RetryAfter: wait}
	}
	if _, known := l.done[key]; !known && len(l.done) >= l.max {
		l.makeRoom(now)
	}
	l.done[key] = at.Add(l.every)
	return nil
}

// giveBack undoes one take that turned out harmless.
func (l *limiter) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, ok := l.done[key]; ok {
		l.done[key] = at.Add(-l.every)
	}
}

func (l *limiter) forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.done, key)
}

// makeRoom drops the keys that are back at the start, and when all are busy some
// of them: memory is bounded whatever anybody sends.
func (l *limiter) makeRoom(now time.Time) {
	for key, at := range l.done {
		if !at.After(now) {
			delete(l.done, key)
		}
	}
	for key := range l.done {
		if len(l.done) < l.max-l.max/16 {
			return
		}
		delete(l.done, key)
	}
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
