package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
)

// sign makes an HS256 token of any claims with testSecret.
func sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	return signWith(t, jwt.SigningMethodHS256, []byte(testSecret), nil, claims)
}

func signWith(t testing.TB, method jwt.SigningMethod, key any, header, claims map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
	for k, v := range header {
		token.Header[k] = v
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publicPEM(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClaimsAreCheckedOneByOne(t *testing.T) {
	clock := newFakeClock()
	now := clock.now()
	v := must(
		NewVerifier(t.Context(), VerifierOptions{Secret: testSecret, Issuer: "host", Audience: "chowk", Now: clock.now}),
	)
	for _, c := range []struct {
		name  string
		claim string
		value any
		want  bool
	}{
		{"as it should be", "x", nil, true},
		{"audience in a list", "aud", []string{"other", "chowk"}, true},
		{"other audience", "aud", "other", false},
		{"no audience", "aud", nil, false},
		{"other issuer", "iss", "evil", false},
		{"no issuer", "iss", nil, false},
		{"no expiry", "exp", nil, false},
		{"just expired", "exp", now.Unix(), false},
		{"expired within the leeway of other claims", "exp", now.Add(-30 * time.Second).Unix(), false},
		{"a second left", "exp", now.Add(time.Second).Unix(), true},
		{"expiry as text", "exp", "tomorrow", false},
		{"expiry beyond time", "exp", 1e300, false},
		{"negative expiry", "exp", -1, false},
		{"not before, clock 50 s off", "nbf", now.Add(50 * time.Second).Unix(), true},
		{"not before, far", "nbf", now.Add(70 * time.Second).Unix(), false},
		{"issued, clock 50 s off", "iat", now.Add(50 * time.Second).Unix(), true},
		{"issued in the future", "iat", now.Add(70 * time.Second).Unix(), false},
		{"no subject", "sub", nil, false},
		{"empty subject", "sub", "", false},
		{"subject with a slash", "sub", "a/b", false},
		{"subject with a newline", "sub", "a\nb", false},
		{"subject of 65 characters", "sub", strings.Repeat("a", 65), false},
		{"subject as a number", "sub", 7, false},
		{"subject as a UUID", "sub", "0190a5e2-7b1c-7d3e-8f00-0123456789ab", true},
	} {
		claims := map[string]any{
			"sub": "ada", "iss": "host", "aud": "chowk", "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(),
		}
		if claims[c.claim] = c.value; c.value == nil {
			delete(claims, c.claim)
		}
		_, _, err := v.Verify(t.Context(), sign(t, claims))
		if (err == nil) != c.want || err != nil && !errors.Is(err, ErrBadToken) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestClaimsMakeTheUser(t *testing.T) {
	clock := newFakeClock()
	v := must(NewVerifier(t.Context(), VerifierOptions{Secret: testSecret, Now: clock.now}))
	verify := func(claims map[string]any) chat.User {
		claims["sub"], claims["exp"] = "ada", clock.now().Add(time.Hour).Unix()
		u, _, err := v.Verify(t.Context(), sign(t, claims))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	u := verify(map[string]any{
		"given_name": "Ada", "family_name": "Lovelace", "email": "ada@example.org", "email_verified": true,
		"picture": "https://example.org/a.png", "role": "tutor", "is_admin": true, "admin": true,
	})
	if u.Name != "Ada Lovelace" || *u.Email != "ada@example.org" || !u.IsVerified || u.Role != "tutor" || u.IsAdmin ||
		*u.Picture != "https://example.org/a.png" || *u.FirstName != "Ada" || *u.LastName != "Lovelace" {
		t.Errorf("%+v", u)
	}
	u = verify(map[string]any{
		"name": " A\u0000d\na " + strings.Repeat("x", 200), "email": "Ada <ada@example.org>", "email_verified": true,
		"picture": "javascript:alert(1)", "role": "admin",
	})
	if !strings.HasPrefix(u.Name, "Adaxxx") && !strings.HasPrefix(u.Name, "Ada xxx") ||
		len([]rune(u.Name)) > maxNameRunes ||
		u.Email != nil || u.IsVerified || u.Picture != nil || u.IsAdmin {
		t.Errorf("%+v", u)
	}
}

// seg is a part of a token made by hand.
func seg(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func TestForgedTokensAreRefused(t *testing.T) {
	clock := newFakeClock()
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	otherRSA := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaPEM := publicPEM(t, &rsaKey.PublicKey)
	keys := writeFile(t, "keys.pem", append(rsaPEM, publicPEM(t, &ecKey.PublicKey)...))
	v := must(NewVerifier(t.Context(), VerifierOptions{KeyFile: keys, Now: clock.now}))
	both := must(NewVerifier(t.Context(), VerifierOptions{KeyFile: keys, Secret: testSecret, Now: clock.now}))

	claims := map[string]any{"sub": "ada", "exp": clock.now().Add(time.Hour).Unix()}
	body := string(must(json.Marshal(claims)))
	good := signWith(t, jwt.SigningMethodRS256, rsaKey, nil, claims)
	for _, verifier := range []*Verifier{v, both} {
		for _, token := range []string{
			good, signWith(t, jwt.SigningMethodES256, ecKey, nil, claims),
			signWith(t, jwt.SigningMethodRS256, rsaKey, map[string]any{"kid": "any"}, claims),
		} {
			if _, _, err := verifier.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
		}
	}
	parts := strings.Split(good, ".")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	spare := good[:len(good)-1] + string(alphabet[strings.IndexByte(alphabet, good[len(good)-1])+1])
	for name, token := range map[string]string{
		"spare bits of the signature": spare,
		"none":                        seg(`{"alg":"none"}`) + "." + seg(body) + ".",
		"nOnE":                        seg(`{"alg":"nOnE"}`) + "." + seg(body) + ".",
		"no alg":                      seg(`{}`) + "." + seg(body) + "." + parts[2],
		"alg as a number":             seg(`{"alg":1}`) + "." + seg(body) + "." + parts[2],
		"HS256 with the public key":   signWith(t, jwt.SigningMethodHS256, rsaPEM, nil, claims),
		"HS256 with the empty key":    signWith(t, jwt.SigningMethodHS256, []byte{}, nil, claims),
		"RS512 of the right key":      signWith(t, jwt.SigningMethodRS512, rsaKey, nil, claims),
		"PS256 of the right key":      signWith(t, jwt.SigningMethodPS256, rsaKey, nil, claims),
		"another key":                 signWith(t, jwt.SigningMethodRS256, otherRSA, nil, claims),
		"key in the token": signWith(
			t, jwt.SigningMethodRS256, otherRSA, map[string]any{"jwk": map[string]any{"kty": "RSA"}}, claims,
		),
		"jku": signWith(
			t, jwt.SigningMethodRS256, otherRSA, map[string]any{"jku": "http://127.0.0.1:1/keys"}, claims,
		),
		"x5u": signWith(
			t, jwt.SigningMethodRS256, otherRSA, map[string]any{"x5u": "http://127.0.0.1:1/keys"}, claims,
		),
		"kid traversal": signWith(
			t, jwt.SigningMethodHS256, []byte{}, map[string]any{"kid": "../../../../dev/null"}, claims,
		),
		"kid injection": signWith(
			t, jwt.SigningMethodRS256, otherRSA, map[string]any{"kid": "' OR 1=1 --"}, claims,
		),
		"crit": signWith(
			t, jwt.SigningMethodRS256, rsaKey, map[string]any{"crit": []string{"b64"}, "b64": false}, claims,
		),
		"signature cut":             parts[0] + "." + parts[1] + ".",
		"signature of other claims": parts[0] + "." + seg(strings.Replace(body, "ada", "eve", 1)) + "." + parts[2],
		"padded":                    parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"header not JSON":           seg(`{"alg"`) + "." + parts[1] + "." + parts[2],
		"claims not an object":      parts[0] + "." + seg(`[]`) + "." + parts[2],
		"two parts":                 parts[0] + "." + parts[1],
		"four parts":                good + "." + parts[2],
		"header of 1 MB": seg(
			`{"alg":"RS256","x":"`+strings.Repeat("x", 1<<20)+`"}`,
		) + "." + parts[1] + "." + parts[2],
		"a million dots": strings.Repeat(".", 1_000_000),
		"a token over 8 kB, signed": signWith(
			t, jwt.SigningMethodRS256, rsaKey, map[string]any{"x": strings.Repeat("x", maxTokenLen)}, claims,
		),
		"ES256 header, RS256 signature": seg(`{"alg":"ES256"}`) + "." + parts[1] + "." + parts[2],
	} {
		for _, verifier := range []*Verifier{v, both} {
			if _, _, err := verifier.Verify(t.Context(), token); !errors.Is(err, ErrBadToken) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestHugeTokensAreRefusedCheaply(t *testing.T) {
	d := newDesk(t, ModeJWT, testSecret)
	for _, token := range []string{
		strings.Repeat(".", 1_000_000), strings.Repeat("a", 1_000_000), "a." + strings.Repeat("b", 1_000_000) + ".c",
	} {
		if n := testing.AllocsPerRun(10, func() { _, _ = d.Authenticate(t.Context(), token) }); n > 0 {
			t.Errorf("%.10s...: %v allocations", token, n)
		}
	}
}

func TestD56GuessableSecretsAreRefused(t *testing.T) {
	for _, secret := range []string{
		"your-secret-key-change-in-production", // the old system's own
		"", "short", testSecret[:MinSecret-1], strings.Repeat("a", 64), strings.Repeat("abc1", 20),
		"change-me-change-me-change-me-change-me", "CHANGE_THIS_TO_SOMETHING_RANDOM_1234567",
		"my super secret key for development 12345", "this-is-an-example-of-32-bytes-or-more!",
	} {
		err := CheckSecret(secret)
		if err == nil || secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", secret, err)
		}
		if _, err := NewVerifier(t.Context(), VerifierOptions{Secret: secret}); err == nil {
			t.Errorf("a verifier took %q", secret)
		}
		if _, err := MintJWT(secret, "", "", "ada", time.Now(), time.Hour); err == nil {
			t.Errorf("a token was made with %q", secret)
		}
	}
	for range 1000 { // random ones are never taken for words
		s, _ := newSecret("")
		if err := CheckSecret(s); err != nil {
			t.Fatalf("%q: %v", s, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	private := must(x509.MarshalPKCS8PrivateKey(p384))
	for name, data := range map[string][]byte{
		"empty":         nil,
		"text":          []byte("hello"),
		"broken PEM":    []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
		"private key":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"RSA 1024":      publicPEM(t, &weak.PublicKey),
		"P-384":         publicPEM(t, &p384.PublicKey),
		"no keys":       []byte(`{"keys":[]}`),
		"symmetric key": []byte(`{"keys":[{"kty":"oct","k":"` + seg(testSecret) + `","alg":"HS256"}]}`),
		"not a set":     []byte(`{"keys":7}`),
	} {
		if _, err := NewVerifier(t.Context(), VerifierOptions{KeyFile: writeFile(t, "k", data)}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := NewVerifier(t.Context(), VerifierOptions{KeyFile: "/does/not/exist"}); err == nil {
		t.Error("a missing file was taken")
	}
	if _, err := NewVerifier(t.Context(), VerifierOptions{}); err == nil {
		t.Error("a verifier without keys")
	}
}

func TestAKeyFileIsRotatedByReplacingIt(t *testing.T) {
	clock := newFakeClock()
	oldPub, oldKey, _ := ed25519.GenerateKey(rand.Reader)
	newPub, newKey, _ := ed25519.GenerateKey(rand.Reader)
	path := writeFile(t, "keys.pem", publicPEM(t, oldPub))
	v := must(NewVerifier(t.Context(), VerifierOptions{KeyFile: path, Now: clock.now}))
	claims := map[string]any{"sub": "ada", "exp": clock.now().Add(time.Hour).Unix()}
	oldToken := signWith(t, jwt.SigningMethodEdDSA, oldKey, nil, claims)
	newToken := signWith(t, jwt.SigningMethodEdDSA, newKey, nil, claims)
	check := func(when string, oldGood, newGood bool) {
		t.Helper()
		_, _, err1 := v.Verify(t.Context(), oldToken)
		_, _, err2 := v.Verify(t.Context(), newToken)
		if (err1 == nil) != oldGood || (err2 == nil) != newGood {
			t.Errorf("%s: old %v, new %v", when, err1, err2)
		}
	}
	rewrite := func(data []byte, at time.Time) {
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
		clock.advance(fileCheckInterval)
	}
	check("at first", true, false)
	rewrite(append(publicPEM(t, oldPub), publicPEM(t, newPub)...), clock.now())
	check("both", true, true)
	rewrite([]byte("rubbish"), clock.now().Add(time.Minute))
	check("broken", true, true)
	rewrite(publicPEM(t, newPub), clock.now().Add(2*time.Minute))
	check("new only", false, true)
}
