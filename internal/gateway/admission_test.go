package gateway

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// retryAfter returns when a refused client may return.
func retryAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		t.Fatal("the handshake was admitted")
	}
	e := chat.AsError(err)
	if e.Code != chat.Overloaded || e.RetryAfter < time.Second || e.RetryAfter > maxQueueDelay {
		t.Fatalf("refused with %s, retry after %s, want %s after 1s to %s",
			e.Code, e.RetryAfter, chat.Overloaded, maxQueueDelay)
	}
	return e.RetryAfter
}

// A storm is admitted as fast as the rate allows and no faster, and clients are not
// refused often, because they return at different times.
func TestStormIsAdmittedAtTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, clients = 100, 1500
		a := newAdmission(Limits{HandshakesPerSecond: perSecond, ConcurrentHandshakes: clients})
		var attempts atomic.Int64
		var connecting sync.WaitGroup
		start, admitted := time.Now(), make(chan time.Duration, clients)
		for range clients {
			connecting.Go(func() { // ends when it is admitted
				for {
					attempts.Add(1)
					release, err := a.admit(t.Context())
					if err == nil {
						admitted <- time.Since(start)
						release()
						return
					}
					// The header Retry-After is in whole seconds.
					time.Sleep((retryAfter(t, err) + time.Second - 1).Truncate(time.Second))
				}
			})
		}
		connecting.Wait()
		if took := time.Since(start); took > (clients/perSecond+2)*time.Second {
			t.Errorf("%d clients were admitted in %s, want %d s or little more", clients, took, clients/perSecond)
		}
		if n := attempts.Load(); n > (retryFactor+1)*clients {
			t.Errorf("%d clients made %d attempts, want at most %d each", clients, n, retryFactor+1)
		}
		perInterval := make(map[time.Duration]int)
		for range clients {
			second := (<-admitted) / time.Second
			if perInterval[second]++; perInterval[second] > perSecond+perSecond/burstShare+1 {
				t.Fatalf("more than %d clients were admitted in second %d", perSecond, second)
			}
		}
	})
}

func TestLongRetryQueueIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q retryQueue
		waits := make(map[time.Duration]bool)
		for range 200 {
			waits[q.next(time.Now(), 1)] = true
		}
		if len(waits) < 150 {
			t.Errorf("200 clients return at only %d different times", len(waits))
		}
		for wait := range waits {
			if wait < time.Second || wait > maxQueueDelay {
				t.Errorf("a client may return after %s, want 1s to %s", wait, maxQueueDelay)
			}
		}
	})
}

func TestHandshakesWaitBrieflyForTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{ConcurrentHandshakes: 1})
		release, err := a.admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = a.admit(t.Context())
		retryAfter(t, err)
		if waited := time.Since(start); waited != admissionTimeout {
			t.Errorf("the second handshake was refused after %s, want %s", waited, admissionTimeout)
		}
		turn := make(chan func())
		go func() { // ends when its turn comes
			release, err := a.admit(t.Context())
			if err != nil {
				t.Error(err)
			}
			turn <- release
		}()
		synctest.Wait()
		release()
		release() // does nothing
		(<-turn)()
		if _, err = a.admit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
