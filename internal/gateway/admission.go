package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// admission lets handshakes in: so many a second, and so many at once. What is let
// in is then done in time however many come, and to say no costs little: a server
// that took everybody in would be done with each when its client had left.
type admission struct {
	rate       *ratelimit.Limiter // nil is no limit
	perSecond  int                // how many are expected to come in
	atOnce     *semaphore.Weighted
	retryQueue retryQueue
}

const (
	// handshakesAtOnce is by default how many may ask the database at a time. Those
	// that wait are gathered, so many are no burden to it; what they burden is the
	// memory, and the time until each is done.
	handshakesAtOnce = 2048
	// admissionWait is how long one waits for each of its turns before it is told to
	// come back: no longer than it would be away.
	admissionWait = time.Second
	// burst is which part of those of a second may come in at one moment.
	burst = 10
	// eager is how many times as many are told to come back in a second as can be
	// let in: clients add a wait of their own, some do not come back, and to refuse
	// one again is cheaper than to have nothing to do.
	eager = 4
	// maxHandshakeRate is how many a second are expected of a server without a limit.
	maxHandshakeRate = 5000
	// maxQueueDelay is the latest that a client is told to come back.
	maxQueueDelay = 30 * time.Second
)

func newAdmission(l Limits) *admission {
	a := &admission{perSecond: maxHandshakeRate, atOnce: semaphore.NewWeighted(int64(l.HandshakesAtOnce))}
	if n := l.HandshakesPerSecond; n > 0 {
		a.perSecond, a.rate = n, ratelimit.New(ratelimit.PerSecond(n, n/burst), nil)
	}
	return a
}

// admit waits for a turn. leave ends it; it may be called again.
func (a *admission) admit(ctx context.Context) (leave func(), err error) {
	if !a.await(ctx) {
		return nil, a.refuse()
	}
	if !a.atOnce.TryAcquire(1) {
		ctx, cancel := context.WithTimeout(ctx, admissionWait)
		defer cancel()
		if a.atOnce.Acquire(ctx, 1) != nil {
			return nil, a.refuse()
		}
	}
	return sync.OnceFunc(func() { a.atOnce.Release(1) }), nil
}

// await waits for a token of the rate; false at once when there is none soon. Never
// more wait than may come in within admissionWait.
func (a *admission) await(ctx context.Context) bool {
	if a.rate == nil {
		return true
	}
	wait, soon := a.rate.Reserve(admissionWait)
	return soon && (wait == 0 || async.Sleep(ctx, wait))
}

// refuse tells one to come back.
func (a *admission) refuse() error {
	after := a.retryQueue.next(time.Now(), eager*a.perSecond)
	return &chat.Error{Code: chat.Overloaded, Message: "Too many clients connect at this moment. Try again a little later.", RetryAfter: after}
}

// retryQueue spreads those who are told to come back over the time that the server needs
// for them, in the order in which they came: told the same time, they would all be
// there again at that time.
type retryQueue struct {
	mu   sync.Mutex // guards what follows
	last time.Time  // when the last of them comes back
}

// next gives the next one's time from now on, when perSecond can be served: at least
// a second, and any time up to maxQueueDelay when the line is longer than that.
func (l *retryQueue) next(now time.Time, perSecond int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if soonest := now.Add(time.Second); l.last.Before(soonest) {
		l.last = soonest
	}
	wait := l.last.Sub(now)
	if wait >= maxQueueDelay {
		return time.Second + rand.N(maxQueueDelay-time.Second)
	}
	l.last = l.last.Add(time.Second / time.Duration(perSecond))
	return wait
}
