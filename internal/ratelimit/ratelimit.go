// Package ratelimit limits how often something may happen: a burst at once, then
// a steady pace. It is the generic cell rate algorithm (ITU-T I.371, the virtual
// scheduling form), which keeps one moment for each limit and does not drift.
// Time is monotonic: nothing changes when the system's clock is set.
package ratelimit

import (
	"sync"
	"time"
)

// Rate is what a limit allows: Burst at once, and then one per Every. A burst
// below 1 counts as 1.
type Rate struct {
	Every time.Duration
	Burst int
}

// PerSecond returns the rate of n per second. n is at least 1.
func PerSecond(n, burst int) Rate { return Rate{Every: time.Second / time.Duration(n), Burst: burst} }

// Bucket is one limit in eight bytes: the moment at which it is full again, counted
// from an origin that the caller chooses. The zero Bucket is full. It does not lock.
type Bucket time.Duration

// Take takes a token at the moment now. When there is none, it takes nothing and
// returns how long it is until there is one.
func (b *Bucket) Take(now time.Duration, r Rate) (wait time.Duration, ok bool) {
	return b.Reserve(now, r, 0)
}

// Reserve takes the next token if there is one within maxWait, and returns how long
// the caller has to wait before using it. Otherwise it takes nothing and returns how
// long it is until there is one.
func (b *Bucket) Reserve(now time.Duration, r Rate, maxWait time.Duration) (wait time.Duration, ok bool) {
	full := max(time.Duration(*b), now)
	wait = max(full-now-r.Every*time.Duration(max(r.Burst, 1)-1), 0)
	if wait > maxWait {
		return wait, false
	}
	*b = Bucket(full + r.Every)
	return wait, true
}

// Return puts back a token that was taken.
func (b *Bucket) Return(r Rate) { *b -= Bucket(r.Every) }

// Limiter is one limit, for any number of goroutines. Create one with New.
type Limiter struct {
	rate  Rate
	clock clock

	mu     sync.Mutex // guards what follows
	bucket Bucket
}

// New returns a full limiter. now is time.Now when nil.
func New(r Rate, now func() time.Time) *Limiter { return &Limiter{rate: r, clock: newClock(now)} }

// Take is Bucket.Take at the present moment.
func (l *Limiter) Take() (wait time.Duration, ok bool) { return l.Reserve(0) }

// Reserve is Bucket.Reserve at the present moment.
func (l *Limiter) Reserve(maxWait time.Duration) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bucket.Reserve(l.clock.elapsed(), l.rate, maxWait)
}

// clock measures time since it was made.
type clock struct {
	now   func() time.Time
	began time.Time
}

func newClock(now func() time.Time) clock {
	if now == nil {
		now = time.Now
	}
	return clock{now: now, began: now()}
}

func (c clock) elapsed() time.Duration { return c.now().Sub(c.began) }
