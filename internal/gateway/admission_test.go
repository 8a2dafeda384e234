package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// refused is when somebody who was not let in is to come back.
func refused(t *testing.T, err error) time.Duration {
	t.Helper()
	e := chat.AsError(err)
	if err == nil || e.Code != chat.Overloaded || e.RetryAfter < time.Second || e.RetryAfter > longestLine {
		t.Fatalf("got %v, %+v", err, e)
	}
	return e.RetryAfter
}

// TestAStormIsLetInAsFastAsItMayBe, while nobody is refused often: those who are
// told when to come back are told different times.
func TestAStormIsLetInAsFastAsItMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const perSecond, all = 100, 1500
		a := newAdmission(Limits{HandshakesPerSecond: perSecond, HandshakesAtOnce: all})
		in, tries := 0, 0
		due := map[int]int{0: all} // by seconds, as Retry-After has them
		second := 0
		for ; in < all; second++ {
			for range due[second] {
				tries++
				leave, err := a.enter(t.Context(), time.Now)
				if err == nil {
					in++
					leave()
					continue
				}
				due[second+int((refused(t, err)+time.Second-1)/time.Second)]++
			}
			if second > 2*all/perSecond {
				t.Fatalf("only %d are in after %d s", in, second)
			}
			time.Sleep(time.Second)
		}
		if second > all/perSecond+2 {
			t.Errorf("it took %d s to let %d in", second, all)
		}
		if tries > (eager+1)*all {
			t.Errorf("%d came %d times", all, tries)
		}
	})
}

func TestALineThatIsTooLongHasNoOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{HandshakesPerSecond: 1, HandshakesAtOnce: 1})
		leave, err := a.enter(t.Context(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		leave()
		seen := make(map[time.Duration]bool)
		for range 200 {
			_, err := a.enter(t.Context(), time.Now)
			seen[refused(t, err)] = true
		}
		if len(seen) < 150 {
			t.Errorf("200 were told only %d times to come back at", len(seen))
		}
	})
}

func TestHandshakesWaitForTheirTurnBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(Limits{HandshakesAtOnce: 1})
		leave, err := a.enter(t.Context(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Now()
		_, err = a.enter(t.Context(), time.Now)
		refused(t, err)
		if waited := time.Since(asked); waited != admissionWait {
			t.Errorf("it was told after %v", waited)
		}
		turn := make(chan func())
		go func() { // ends when its turn comes
			leave, err := a.enter(t.Context(), time.Now)
			if err != nil {
				t.Error(err)
			}
			turn <- leave
		}()
		synctest.Wait()
		leave()
		leave() // counts once
		leave = <-turn
		leave()
		if _, err = a.enter(t.Context(), time.Now); err != nil {
			t.Error(err)
		}
	})
}
