package chowk

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/internal/settings"
)

func TestEachSettingIsSound(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)?$`)
	seen := make(map[string]bool)
	for _, s := range settings.Of[Config]() {
		if !name.MatchString(s.Name) {
			t.Errorf("%q is not how settings are named", s.Name)
		}
		if !strings.HasSuffix(s.Help, ".") {
			t.Errorf("the help of %s is %q, want a sentence", s.Name, s.Help)
		}
		for _, key := range []string{s.Env, s.Name} {
			if seen[key] {
				t.Errorf("two settings are called %s", key)
			}
			seen[key] = true
		}
		if isBytes := s.Type == reflect.TypeFor[int64](); isBytes != (s.Kind == "bytes") {
			t.Errorf("%s: every int64 is a number of bytes, and nothing else is", s.Name)
		}
		isURL := strings.HasSuffix(s.Name, "-url") || strings.HasSuffix(s.Name, ".url")
		mayBeSecret := strings.Contains(s.Name, "secret") || isURL && s.Name != "public-url"
		if mayBeSecret != s.HasSecret() {
			t.Errorf("%s: whether it holds a secret is %v, want %v", s.Name, s.HasSecret(), mayBeSecret)
		}
	}
}

// TestEachNumberHasBoundsThatAreAllowed, and its default is within them.
func TestEachNumberHasBoundsThatAreAllowed(t *testing.T) {
	for _, s := range settings.Of[Config]() {
		kind := s.Type.Kind()
		isNumber := kind == reflect.Int || kind == reflect.Int64 || kind == reflect.Float64
		low, high := s.Bounds()
		if isNumber != (low != "" && high != "") {
			t.Errorf("%s: every number has bounds, and nothing else", s.Name)
		}
		c := Defaults()
		for _, bound := range []string{low, high} {
			if err := s.Set(&c, bound); bound != "" && err != nil {
				t.Errorf("a bound is refused: %v", err)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	var c Config
	if err := c.Complete(); err != nil {
		t.Fatalf("the defaults are refused: %v", err)
	}
	for what, pair := range map[string][2]any{
		"listen":       {c.Listen, "127.0.0.1:8080"},
		"database":     {c.DatabaseURL, "sqlite:chowk-data/chowk.db"},
		"auth":         {c.Auth.Mode, "accounts"},
		"session":      {c.Auth.SessionTTL, 720 * time.Hour},
		"pool":         {c.Pool, PoolConfig{10, 20, 250 * time.Millisecond, 30 * time.Second, time.Hour, 5 * time.Second}},
		"ring":         {c.Ring.Bytes, int64(64 << 20)},
		"message":      {c.Limits.MessageBytes, int64(64 << 10)},
		"canary":       {c.Canary.Interval, 10 * time.Second},
		"URL":          {c.BaseURL(), "http://127.0.0.1:8080"},
		"data's place": {c.DataPath(), "chowk-data"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

// TestAFieldThatIsSetStays, also when it is set to zero after Defaults.
func TestAFieldThatIsSetStays(t *testing.T) {
	literal := Config{Pool: PoolConfig{Size: 3}, Origins: []string{"https://A.example"}}
	if err := literal.Complete(); err != nil {
		t.Fatal(err)
	}
	if literal.Pool.Size != 3 || literal.Pool.Overflow != 20 || literal.Origins[0] != "https://a.example" {
		t.Errorf("got a pool of %d and %d, and the origin %s; want 3 and 20, and https://a.example",
			literal.Pool.Size, literal.Pool.Overflow, literal.Origins[0])
	}
	zeros := Defaults()
	zeros.Canary.Interval, zeros.Pool.Overflow, zeros.Ops.Listen = 0, 0, ""
	if err := zeros.Complete(); err != nil {
		t.Fatal(err)
	}
	if zeros.Canary.Interval != 0 || zeros.Pool.Overflow != 0 || zeros.Ops.Listen != "" {
		t.Errorf("got %v, %d and %q, want zeros", zeros.Canary.Interval, zeros.Pool.Overflow, zeros.Ops.Listen)
	}
}

// TestAGoProgramIsToldWhatIsWrong, all of it, by the names of the settings.
func TestAGoProgramIsToldWhatIsWrong(t *testing.T) {
	c := Config{Heartbeat: time.Hour, Transport: "kqueue"}
	const want = "heartbeat must be a duration such as 30s or 5m, from 1s to 10m, not \"1h0m0s\"\n" +
		"transport must be one of auto, epoll, goroutine, not \"kqueue\""
	if err := c.Complete(); err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	if _, err := Open(t.Context(), Config{Auth: AuthConfig{Mode: "jwt"}}); err == nil ||
		!strings.HasPrefix(err.Error(), "auth is \"jwt\", but there is no key to check tokens with") {
		t.Errorf("got error %v, want one about the missing key", err)
	}
}

func TestWarnings(t *testing.T) {
	for want, c := range map[string]Config{
		"auth is none":               {Auth: AuthConfig{Mode: "none"}},
		"auth.jwks-url is not https": {Auth: AuthConfig{Mode: "jwt", JWKSURL: "http://keys.example/jwks"}},
		"no TLS":                     {Listen: ":8080"},
		"":                           {Listen: ":8080", PublicURL: "https://chat.example.org"},
	} {
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		got := c.Warnings()
		if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], want)) {
			t.Errorf("got %q, want one warning that starts with %q", got, want)
		}
	}
}
