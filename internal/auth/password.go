package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/argon2"

	"github.com/chowk-chat/chowk/chat"
)

// argonParams are the parameters of argon2id (RFC 9106): the cost of one guess.
type argonParams struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// defaultArgon is the minimum that OWASP recommends: a log-in costs 19 MiB and about
// 20 ms of one core.
var defaultArgon = argonParams{memory: 19 << 10, time: 2, threads: 1}

const (
	saltBytes = 16
	keyBytes  = 32
	// hashTimeout is how long a log-in waits for others before it is refused.
	hashTimeout = 250 * time.Millisecond
)

// hasher creates and checks argon2id hashes, a few at a time: a flood of log-ins must
// not use the CPU and memory that messages need.
type hasher struct {
	params argonParams
	wait   time.Duration
	slots  chan struct{}
}

func newHasher() *hasher {
	return &hasher{
		params: defaultArgon,
		wait:   hashTimeout,
		slots:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
}

// acquire waits for a slot. The caller must call release.
func (h *hasher) acquire(ctx context.Context) (release func(), err error) {
	release = func() { <-h.slots }
	select {
	case h.slots <- struct{}{}:
		return release, nil
	default:
	}
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, &chat.Error{
			Code: chat.Overloaded, Message: "Too many people are logging in. Try again in a moment.", RetryAfter: time.Second,
		}
	}
}

// hash returns a hash in PHC format. The caller holds a slot.
func (h *hasher) hash(password string) string {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails: it ends the process instead
	p := h.params
	key := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, keyBytes)
	enc := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf(
		"$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, enc(salt), enc(key),
	)
}

// verify compares a password with a hash. It takes the same time if there is no hash.
// stale reports that the hash has parameters other than the present ones. The caller
// holds a slot.
func (h *hasher) verify(password, phc string) (ok, stale bool) {
	p, salt, key, err := parsePHC(phc)
	if err != nil {
		argon2.IDKey([]byte(password), make([]byte, saltBytes), h.params.time, h.params.memory, h.params.threads, keyBytes)
		return false, false
	}
	got := argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1, p != h.params || len(key) != keyBytes
}

var errPHC = errors.New("not an argon2id hash in PHC format")

func parsePHC(s string) (p argonParams, salt, key []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, nil, nil, errPHC
	}
	// A hash from a broken import must not exhaust the machine.
	if p.memory < 8 || p.memory > 1<<20 || p.time < 1 || p.time > 100 || p.threads < 1 {
		return p, nil, nil, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) < 16 || len(key) > 128 {
		return p, nil, nil, errPHC
	}
	return p, salt, key, nil
}

// MaxPassword is the maximum length of a password, in bytes.
const MaxPassword = 128

// checkPassword applies the password rules of the old system.
func checkPassword(field, password string) error {
	var upper, lower, digit bool
	n := 0
	for _, r := range password {
		n++
		upper = upper || unicode.IsUpper(r)
		lower = lower || unicode.IsLower(r)
		digit = digit || unicode.IsDigit(r)
	}
	switch {
	case n < 8:
		return chat.Invalid(field, "Password must be at least 8 characters long")
	case len(password) > MaxPassword:
		return chat.Invalid(field, fmt.Sprintf("Password must be at most %d bytes long", MaxPassword))
	case !upper:
		return chat.Invalid(field, "Password must contain at least one uppercase letter")
	case !lower:
		return chat.Invalid(field, "Password must contain at least one lowercase letter")
	case !digit:
		return chat.Invalid(field, "Password must contain at least one digit")
	}
	return nil
}
