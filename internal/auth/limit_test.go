package auth

import (
	"net/netip"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// TestAnAttemptTooManySaysWhenTheNextIsAllowed; the rest of limits is tested in
// package ratelimit.
func TestAnAttemptTooManySaysWhenTheNextIsAllowed(t *testing.T) {
	l := newLimiter(2, time.Minute, newFakeClock().now)
	for range 2 {
		if err := l.take("k"); err != nil {
			t.Fatal(err)
		}
	}
	err := l.take("k")
	wantCode(t, err, chat.RateLimited)
	if e := chat.AsError(err); e.RetryAfter != time.Minute {
		t.Errorf("retry after %s, want one minute", e.RetryAfter)
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
