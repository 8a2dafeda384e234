package auth

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

func TestPasswordRules(t *testing.T) {
	for _, c := range []struct{ password, says string }{
		{"Abcdefg1", ""},
		{"Ünïcödé1", ""},
		{"Abcdef1", "Password must be at least 8 characters long"},
		{"", "Password must be at least 8 characters long"},
		{"abcdefg1", "Password must contain at least one uppercase letter"},
		{"ABCDEFG1", "Password must contain at least one lowercase letter"},
		{"Abcdefgh", "Password must contain at least one digit"},
		{"A1" + strings.Repeat("b", MaxPassword-2), ""},
		{"A1" + strings.Repeat("b", MaxPassword-1), "Password must be at most 128 bytes long"},
	} {
		err := checkPassword("password", c.password)
		if got := errText(err); got != c.says {
			t.Errorf("%q: %q, want %q", c.password, got, c.says)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestHashes(t *testing.T) {
	h := newHasher()
	one, two := h.hash("Correct1"), h.hash("Correct1")
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Fatal(one, two)
	}
	if ok, stale := h.verify("Correct1", one); !ok || stale {
		t.Error("the right password", ok, stale)
	}
	for _, wrong := range []string{"", "correct1", "Correct1 ", "Correct1\x00"} {
		if ok, _ := h.verify(wrong, one); ok {
			t.Errorf("%q was taken", wrong)
		}
	}
	h.params.time++
	if ok, stale := h.verify("Correct1", one); !ok || !stale {
		t.Error("a hash of other parameters", ok, stale)
	}
}

func TestBrokenHashesLetNobodyIn(t *testing.T) {
	h := cheapHasher()
	good := h.hash("Correct1")
	for _, phc := range []string{
		"", "$", "Correct1", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		"$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=0,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=0$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAA$", "$argon2id$v=19$m=64,t=1,p=1$$AAAAAAAAAAAAAAAAAAAAAA",
		good + "$x", "$2b$12$abcdefghijklmnopqrstuv",
	} {
		if ok, stale := h.verify("Correct1", phc); ok || stale {
			t.Errorf("%q: %t, %t", phc, ok, stale)
		}
	}
}

func cheapHasher() *hasher {
	h := newHasher()
	h.params = argonParams{memory: 8, time: 1, threads: 1}
	return h
}

func TestAFloodOfLogInsIsTurnedAwaySoon(t *testing.T) {
	h := cheapHasher()
	h.wait = time.Millisecond
	var turns []func()
	for range cap(h.slots) {
		turns = append(turns, must(h.acquire(t.Context())))
	}
	_, err := h.acquire(t.Context())
	wantCode(t, err, chat.Overloaded)
	if e := chat.AsError(err); e.RetryAfter <= 0 {
		t.Error("it does not say when to come back")
	}
	h.wait = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.acquire(ctx); err == nil {
		t.Error("a caller who had left got a slot")
	}
	turns[0]()
	must(h.acquire(t.Context()))()
}

// An unknown email costs a hash, as a known one does: here by counting the memory
// that each takes rather than by a clock, which a busy machine would spoil.
func TestUnknownEmailsCostAHashToo(t *testing.T) {
	h := newHasher()
	known := h.hash("Correct1")
	bytesOf := func(phc string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		h.verify("Wrong-one1", phc)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	k, u := bytesOf(known), bytesOf("")
	if u < 19<<20 || k < 19<<20 || u > k+k/10 || k > u+u/10 {
		t.Errorf("%d bytes for a known, %d for an unknown", k, u)
	}
}
