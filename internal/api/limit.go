package api

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/chowk-chat/chowk/chat"
)

const (
	writesPerSecond = 50
	writesBurst     = 100
	// maxBuckets bounds the memory that users' buckets take.
	maxBuckets = 50_000
)

// buckets holds back users who change things too fast. A user whose bucket was
// dropped to make room starts with a full one: the limit protects the server, it
// is no accounting.
type buckets struct {
	now func() time.Time
	max int

	mu   sync.Mutex // guards what follows
	user map[chat.UserID]*rate.Limiter
}

func newBuckets(now func() time.Time) *buckets {
	return &buckets{now: now, max: maxBuckets, user: make(map[chat.UserID]*rate.Limiter)}
}

// take counts one change, or says when there is one to be had.
func (b *buckets) take(u chat.UserID) error {
	now := b.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.user[u]
	if !ok {
		if len(b.user) >= b.max {
			b.makeRoom(now)
		}
		l = rate.NewLimiter(writesPerSecond, writesBurst)
		b.user[u] = l
	}
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	r.CancelAt(now)
	return &chat.Error{Code: chat.RateLimited, Message: "You change things too fast. Slow down.", RetryAfter: wait}
}

// makeRoom drops full buckets, which say nothing, and then any until an eighth is
// free.
func (b *buckets) makeRoom(now time.Time) {
	for u, l := range b.user {
		if l.TokensAt(now) >= writesBurst {
			delete(b.user, u)
		}
	}
	for u := range b.user {
		if len(b.user) <= b.max-b.max/8 {
			return
		}
		delete(b.user, u)
	}
}
