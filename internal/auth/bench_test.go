package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What a reconnecting socket costs when its token is remembered, and when not.
func BenchmarkAuthenticate(b *testing.B) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	path := filepath.Join(b.TempDir(), "k.pem")
	if err := os.WriteFile(path, publicPEM(b, &key.PublicKey), 0o600); err != nil {
		b.Fatal(err)
	}
	v := must(NewVerifier(b.Context(), VerifierOptions{KeyFile: path}))
	a := New(Options{Mode: ModeJWT, Store: newFakeStore(), Verifier: v})
	token := signWith(b, jwt.SigningMethodES256, key, nil, map[string]any{
		"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
	})
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			must(a.Authenticate(b.Context(), token))
		}
	})
	b.Run("ES256", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPassword(b *testing.B) {
	h := newHasher()
	for b.Loop() {
		h.hash("Correct1")
	}
}
