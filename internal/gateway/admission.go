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

// admission limits how many handshakes are admitted per second, and how many run at
// the same time. Admitted handshakes then finish in time however many clients
// connect, and refusing the others is cheap. A server that admitted all of them would
// finish each after its client had given up.
type admission struct {
	rate       *ratelimit.Limiter // nil for no limit
	perSecond  int                // handshakes expected per second
	concurrent *semaphore.Weighted
	retryQueue retryQueue
}

const (
	// admissionTimeout is how long a handshake waits for the rate, and again for its
	// turn, before it is refused: no longer than the client would have to stay away.
	admissionTimeout = time.Second
	// burstShare is the part of a second's handshakes that is admitted at once: 1/10.
	burstShare = 10
	// retryFactor is how many times as many clients are asked to return in a second as
	// can be admitted. Clients wait longer than asked, some do not return, and refusing a
	// client again is cheaper than being idle.
	retryFactor = 4
	// maxHandshakeRate is how many handshakes per second are expected without a limit.
	maxHandshakeRate = 5000
	// maxQueueDelay is the longest that a client is asked to stay away.
	maxQueueDelay = 30 * time.Second
)

func newAdmission(l Limits) *admission {
	a := &admission{perSecond: maxHandshakeRate, concurrent: semaphore.NewWeighted(int64(l.ConcurrentHandshakes))}
	if n := l.HandshakesPerSecond; n > 0 {
		a.perSecond, a.rate = n, ratelimit.New(ratelimit.PerSecond(n, n/burstShare), nil)
	}
	return a
}

// admit waits for a handshake's turn. release ends the turn; it may be called again.
func (a *admission) admit(ctx context.Context) (release func(), err error) {
	if !a.await(ctx) {
		return nil, a.refuse()
	}
	if !a.concurrent.TryAcquire(1) {
		ctx, cancel := context.WithTimeout(ctx, admissionTimeout)
		defer cancel()
		if a.concurrent.Acquire(ctx, 1) != nil {
			return nil, a.refuse()
		}
	}
	return sync.OnceFunc(func() { a.concurrent.Release(1) }), nil
}

// await waits until the rate allows another handshake. It returns false at once if
// that takes longer than admissionTimeout, so no more handshakes wait than are
// admitted in that time.
func (a *admission) await(ctx context.Context) bool {
	if a.rate == nil {
		return true
	}
	wait, ok := a.rate.Reserve(admissionTimeout)
	return ok && (wait == 0 || async.Sleep(ctx, wait))
}

// refuse returns the error that contains when the client may return.
func (a *admission) refuse() error {
	return &chat.Error{
		Code: chat.Overloaded, Message: "Too many clients are connecting. Try again in a moment.",
		RetryAfter: a.retryQueue.next(time.Now(), retryFactor*a.perSecond),
	}
}

// retryQueue spreads refused clients over the time that the server needs for them, in
// the order in which they came. With the same time for all, all would return together.
type retryQueue struct {
	mu   sync.Mutex // guards what follows
	last time.Time  // when the last client returns
}

// next returns how long the next client stays away, at perSecond clients a second: at
// least a second, and a random time up to maxQueueDelay if the queue is longer.
func (q *retryQueue) next(now time.Time, perSecond int) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if soonest := now.Add(time.Second); q.last.Before(soonest) {
		q.last = soonest
	}
	wait := q.last.Sub(now)
	if wait >= maxQueueDelay {
		return time.Second + rand.N(maxQueueDelay-time.Second)
	}
	q.last = q.last.Add(time.Second / time.Duration(perSecond))
	return wait
}
