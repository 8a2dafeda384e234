package gateway

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// refused is when somebody who was not let in is to come back.
func refused(t *testing.T, err error) time.Duration {
	t.Helper()
	e := chat.AsError(err)
	if err == nil || e.Code != chat.Overloaded || e.RetryAfter < time.Second || e.RetryAfter > maxQueueDelay {
		t.Fatalf("got %v, %+v", err, e)
	}
	return e.RetryAfter
}

// TestAStormIsLetInAsFastAsItMayBe, and no faster, while nobody is refused often:
// those who are told when to come back are told different times.
func TestAStormIsLetInAsFastAsItMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, all = 100, 1500
		a := newAdmission(Limits{HandshakesPerSecond: perSecond, HandshakesAtOnce: all})
		var tries atomic.Int64
		var coming sync.WaitGroup
		start, in := time.Now(), make(chan time.Duration, all)
		for range all {
			coming.Go(func() { // ends when it is let in
				for {
					tries.Add(1)
					leave, err := a.admit(t.Context())
					if err == nil {
						in <- time.Since(start)
						leave()
						return
					}
					time.Sleep((refused(t, err) + time.Second - 1).Truncate(time.Second)) // as Retry-After has it
				}
			})
		}
		coming.Wait()
		if took := time.Since(start); took > (all/perSecond+2)*time.Second {
			t.Errorf("it took %v to let %d in", took, all)
		}
		if n := tries.Load(); n > (eager+1)*all {
			t.Errorf("%d came %d times", all, n)
		}
		seconds := make(map[time.Duration]int)
		for range all {
			at := <-in
			if seconds[at/time.Second]++; seconds[at/time.Second] > perSecond+perSecond/burst+1 {
				t.Fatalf("more than %d were let in in second %d", perSecond, at/time.Second)
			}
		}
	})
}

func TestALineThatIsTooLongHasNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l retryQueue
		seen := make(map[time.Duration]bool)
		for range 200 {
			seen[l.next(time.Now(), 1)] = true
		}
		if len(seen) < 150 {
			t.Errorf("200 were told only %d times to come back at", len(seen))
		}
		for wait := range seen {
			if wait < time.Second || wait > maxQueueDelay {
				t.Errorf("one was told to come back after %v", wait)
			}
		}
	})
}

func TestHandshakesWaitForTheirTurnBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{HandshakesAtOnce: 1})
		leave, err := a.admit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Now()
		_, err = a.admit(t.Context())
		refused(t, err)
		if waited := time.Since(asked); waited != admissionWait {
			t.Errorf("it was told after %v", waited)
		}
		turn := make(chan func())
		go func() { // ends when its turn comes
			leave, err := a.admit(t.Context())
			if err != nil {
				t.Error(err)
			}
			turn <- leave
		}()
		synctest.Wait()
		leave()
		leave() // counts once
		(<-turn)()
		if _, err = a.admit(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
