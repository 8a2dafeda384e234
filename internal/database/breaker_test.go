package database

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBreakerIgnoresFailuresOlderThanTheLastAnswer: only failures of what began after it
// count.
func TestBreakerIgnoresFailuresOlderThanTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changes []bool
		b := newBreaker(
			func(context.Context) error { return nil },
			func(open bool) { changes = append(changes, open) })
		defer b.close()
		fail := func(since time.Time, want ...bool) {
			t.Helper()
			for range failuresToOpen {
				b.failed(since)
			}
			synctest.Wait()
			if diff := cmp.Diff(want, changes); diff != "" {
				t.Errorf("open and closed (-want +got):\n%s", diff)
			}
		}
		began := time.Now()
		time.Sleep(time.Millisecond)
		b.answered()
		fail(began)
		fail(time.Now(), true, false)
	})
}
