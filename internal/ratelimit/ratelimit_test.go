package ratelimit_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/internal/faultclock"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// clock moves only when a test says so, and can be set like the system's clock.
type clock struct {
	start   time.Time
	elapsed time.Duration
	set     int // by how many seconds
}

func newClock() *clock { return &clock{start: time.Now()} }

func (c *clock) now() time.Time { return faultclock.Step(c.start.Add(c.elapsed), c.set) }

// answer is what a limit returned.
type answer struct {
	Wait time.Duration
	OK   bool
}

func taken(wait time.Duration, ok bool) answer { return answer{wait, ok} }

func compare(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALimitAllowsABurstAndThenAPace(t *testing.T) {
	clock := newClock()
	l := ratelimit.New(ratelimit.Rate{Every: time.Minute, Burst: 3}, clock.now)
	take := func(n int) (got []answer) {
		for range n {
			got = append(got, taken(l.Take()))
		}
		return got
	}
	ok := answer{0, true}
	compare(t, []answer{ok, ok, ok, {time.Minute, false}, {time.Minute, false}}, take(5))
	clock.elapsed += 59 * time.Second
	compare(t, []answer{{time.Second, false}}, take(1))
	clock.elapsed += time.Second
	compare(t, []answer{ok, {time.Minute, false}}, take(2))
	clock.elapsed += time.Hour // however long it was quiet, there is one burst
	compare(t, []answer{ok, ok, ok, {time.Minute, false}}, take(4))
}

func TestReserveTakesTokensOfTheNearFuture(t *testing.T) {
	clock := newClock()
	l := ratelimit.New(ratelimit.PerSecond(10, 1), clock.now)
	var got []answer
	for range 4 {
		got = append(got, taken(l.Reserve(200*time.Millisecond)))
	}
	clock.elapsed += 100 * time.Millisecond
	got = append(got, taken(l.Reserve(200*time.Millisecond)))
	compare(t, []answer{
		{0, true},
		{100 * time.Millisecond, true},
		{200 * time.Millisecond, true},
		{300 * time.Millisecond, false}, // takes nothing, so the next one has its token
		{200 * time.Millisecond, true},
	}, got)
}

func TestABurstBelowOneIsOne(t *testing.T) {
	var b ratelimit.Bucket
	rate := ratelimit.Rate{Every: time.Second}
	compare(t, []answer{{0, true}, {time.Second, false}}, []answer{taken(b.Take(0, rate)), taken(b.Take(0, rate))})
}

func TestKeysHaveALimitEach(t *testing.T) {
	clock := newClock()
	k := ratelimit.NewKeyed[string](ratelimit.Rate{Every: time.Minute, Burst: 2}, ratelimit.Options{Now: clock.now})
	empty, ok := answer{time.Minute, false}, answer{0, true}
	compare(t, []answer{ok, ok, empty, ok}, []answer{
		taken(k.Take("a")), taken(k.Take("a")), taken(k.Take("a")), taken(k.Take("b")),
	})
	k.Return("a")
	compare(t, []answer{ok, empty}, []answer{taken(k.Take("a")), taken(k.Take("a"))})
	k.Reset("a")
	k.Return("a") // a full bucket does not become fuller
	compare(t, []answer{ok, ok, empty}, []answer{taken(k.Take("a")), taken(k.Take("a")), taken(k.Take("a"))})
}

func TestABlockedKeyWaits(t *testing.T) {
	clock := newClock()
	k := ratelimit.NewKeyed[string](ratelimit.Rate{Every: time.Second, Burst: 5}, ratelimit.Options{Now: clock.now})
	k.Block("a", 10*time.Second)
	clock.elapsed = 4 * time.Second
	got := []time.Duration{k.Wait("a"), k.Wait("a"), k.Wait("b")}
	compare(t, []time.Duration{6 * time.Second, 6 * time.Second, 0}, got)
	compare(t, []answer{{6 * time.Second, false}, {0, true}}, []answer{taken(k.Take("a")), taken(k.Take("b"))})
	clock.elapsed = 10 * time.Second
	compare(t, []answer{{0, true}, {time.Second, false}}, []answer{taken(k.Take("a")), taken(k.Take("a"))})
}

func TestLimitsDoNotFollowWhenTheClockIsSet(t *testing.T) {
	for _, seconds := range []int{-3600, 3600} {
		clock := newClock()
		k := ratelimit.NewKeyed[string](ratelimit.Rate{Every: time.Minute, Burst: 1}, ratelimit.Options{Now: clock.now})
		got := []answer{taken(k.Take("a"))}
		clock.set = seconds
		got = append(got, taken(k.Take("a")))
		clock.elapsed = time.Minute
		got = append(got, taken(k.Take("a")))
		compare(t, []answer{{0, true}, {time.Minute, false}, {0, true}}, got)
	}
}

// Memory is bounded even when all keys are in use, and full buckets are forgotten
// before others.
func TestKeysAreBounded(t *testing.T) {
	const maxKeys = 64
	clock := newClock()
	rate := ratelimit.Rate{Every: 20 * time.Millisecond, Burst: 100}
	k := ratelimit.NewKeyed[string](rate, ratelimit.Options{MaxKeys: maxKeys, Now: clock.now})
	for range rate.Burst {
		k.Take("busy")
	}
	for i := range maxKeys - 1 {
		k.Take("idle" + strconv.Itoa(i))
	}
	clock.elapsed = 20 * time.Millisecond // the idle ones are full again
	for i := range 50 {
		k.Take("new" + strconv.Itoa(i))
	}
	compare(t, 51, k.Len()) // the new ones and the busy one
	if k.Take("busy"); k.Wait("busy") == 0 {
		t.Error("the busy key was forgotten before the idle ones")
	}
	for i := range 10_000 {
		k.Take("flood" + strconv.Itoa(i))
		if n := k.Len(); n > maxKeys {
			t.Fatalf("%d keys are remembered, more than %d", n, maxKeys)
		}
	}
}

// Without a flood, memory follows the keys in use.
func TestFullBucketsAreForgotten(t *testing.T) {
	clock := newClock()
	k := ratelimit.NewKeyed[string](ratelimit.PerSecond(1, 1), ratelimit.Options{Now: clock.now})
	peak := 0
	for i := range 100_000 {
		clock.elapsed += 100 * time.Millisecond // so that ten are in use at a time
		k.Take(strconv.Itoa(i))
		if i%1000 == 0 {
			peak = max(peak, k.Len())
		}
	}
	if peak > 32*256 {
		t.Errorf("%d keys were remembered when ten were in use", peak)
	}
}

func TestTakingATokenAllocatesNothing(t *testing.T) {
	k := ratelimit.NewKeyed[string](ratelimit.PerSecond(1000, 1000), ratelimit.Options{})
	keys := []string{"a", "b", "c"}
	i := 0
	compare(t, 0.0, testing.AllocsPerRun(1000, func() {
		k.Take(keys[i%len(keys)])
		i++
	}))
}
