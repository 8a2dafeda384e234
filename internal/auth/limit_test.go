package auth

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

func TestALimitIsABurstThenAPace(t *testing.T) {
	clock := newFakeClock()
	l := newLimiter(3, time.Minute, clock.now)
	take := func(want bool) {
		t.Helper()
		if err := l.take("k"); (err == nil) != want {
			t.Fatalf("%v", err)
		}
	}
	for range 3 {
		take(true)
	}
	err := l.take("k")
	wantCode(t, err, chat.RateLimited)
	if e := chat.AsError(err); e.RetryAfter != time.Minute {
		t.Fatalf("retry after %s", e.RetryAfter)
	}
	if l.take("other") != nil {
		t.Fatal("one key counts for another")
	}
	clock.advance(59 * time.Second)
	take(false)
	clock.advance(time.Second)
	take(true)
	take(false)
	l.giveBack("k")
	take(true)
	take(false)
	clock.advance(time.Hour)
	for range 3 { // no more than the burst, however long it was quiet
		take(true)
	}
	take(false)
}

func TestALimiterForgetsButNeverGrows(t *testing.T) {
	clock := newFakeClock()
	l := newLimiter(2, time.Minute, clock.now)
	l.max = 100
	for i := range 10_000 {
		if err := l.take(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		if len(l.done) > l.max {
			t.Fatalf("%d keys", len(l.done))
		}
	}
	clock.advance(time.Hour)
	_ = l.take("x")
	for range 200 {
		_ = l.take(strconv.Itoa(len(l.done)))
	}
	if len(l.done) > l.max {
		t.Fatalf("%d keys", len(l.done))
	}
}

func TestAnIPv6CustomerIsOneAddress(t *testing.T) {
	key := func(s string) string { return addrKey(netip.MustParseAddr(s)) }
	if key("2001:db8::1") != key("2001:db8::ffff:1") || key("2001:db8::1") == key("2001:db8:0:1::1") {
		t.Error("a /64")
	}
	if key("192.0.2.1") == key("192.0.2.2") || key("::ffff:192.0.2.1") != key("192.0.2.1") {
		t.Error("IPv4")
	}
	if addrKey(netip.Addr{}) == "" {
		t.Error("no address has no key")
	}
}
