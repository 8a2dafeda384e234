package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
)

// issuer serves a JWK set.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64
	body    atomic.Pointer[[]byte]
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := new(issuer)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.fetches.Add(1)
		body := i.body.Load()
		if body == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(*body)
	}))
	t.Cleanup(i.Close)
	return i
}

func jwk(kid string, key *ecdsa.PublicKey, more map[string]string) map[string]string {
	raw := must(key.Bytes()) // 4, X, Y
	enc := base64.RawURLEncoding.EncodeToString
	m := map[string]string{"kty": "EC", "crv": "P-256", "kid": kid, "x": enc(raw[1:33]), "y": enc(raw[33:])}
	for k, v := range more {
		m[k] = v
	}
	return m
}

func (i *issuer) publish(keys ...map[string]string) {
	body := must(json.Marshal(map[string]any{"keys": keys}))
	i.body.Store(&body)
}

func (i *issuer) verifier(t *testing.T, clock *fakeClock, log *slog.Logger) *Verifier {
	t.Helper()
	// Its own transport, whose connections are closed before goleak looks.
	client := keySetClient()
	t.Cleanup(client.CloseIdleConnections)
	return must(
		NewVerifier(t.Context(), VerifierOptions{
			JWKSURL: i.URL + "/keys?client_secret=hush", Now: clock.now, Client: client, Log: log,
		}),
	)
}

func ecToken(t *testing.T, key *ecdsa.PrivateKey, kid string, now time.Time) string {
	t.Helper()
	header := map[string]any{}
	if kid != "" {
		header["kid"] = kid
	}
	return signWith(t, jwt.SigningMethodES256, key, header, map[string]any{"sub": "ada", "exp": now.Add(time.Hour).Unix()})
}

func TestAKeySetIsRotated(t *testing.T) {
	clock, i := newFakeClock(), newIssuer(t)
	one := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	two := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	i.publish(jwk("one", &one.PublicKey, map[string]string{"alg": "ES256", "use": "sig"}))
	v := i.verifier(t, clock, nil)
	for _, kid := range []string{"one", ""} {
		if _, _, err := v.Verify(t.Context(), ecToken(t, one, kid, clock.now())); err != nil {
			t.Fatalf("kid %q: %v", kid, err)
		}
	}
	if n := i.fetches.Load(); n != 1 {
		t.Fatalf("%d fetches", n)
	}
	i.publish(jwk("two", &two.PublicKey, nil))
	if _, _, err := v.Verify(t.Context(), ecToken(t, two, "two", clock.now())); err != nil {
		t.Fatal(err) // the unknown key was fetched
	}
	_, _, err := v.Verify(t.Context(), ecToken(t, one, "", clock.now()))
	wantCode(t, err, chat.Unauthorized) // the old one was withdrawn
	_, _, err = v.Verify(t.Context(), ecToken(t, one, "two", clock.now()))
	wantCode(t, err, chat.Unauthorized) // and cannot use the new one's name
}

func TestMadeUpKeyIdsFetchLittle(t *testing.T) {
	clock, i := newFakeClock(), newIssuer(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	i.publish(jwk("one", &key.PublicKey, nil))
	v := i.verifier(t, clock, nil)
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			_, _, err := v.Verify(t.Context(), ecToken(t, key, "made-up-"+strconv.Itoa(n), clock.now()))
			if !isCode(err, chat.Unauthorized) && !isCode(err, chat.Unavailable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := i.fetches.Load(); n > 1+unknownBurst {
		t.Fatalf("%d fetches for 200 unknown keys", n)
	}
	if _, _, err := v.Verify(t.Context(), ecToken(t, key, "one", clock.now())); err != nil {
		t.Fatal(err) // the known key works all the while
	}
}

func TestKeysOfAnotherKindAreNotUsed(t *testing.T) {
	clock, i := newFakeClock(), newIssuer(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	secret := map[string]string{"kty": "oct", "kid": "oct", "k": seg(testSecret), "alg": "HS256"}
	i.publish(
		jwk("enc", &key.PublicKey, map[string]string{"use": "enc"}),
		jwk("other-alg", &key.PublicKey, map[string]string{"alg": "ES384"}),
		secret,
	)
	v := i.verifier(t, clock, nil)
	for _, kid := range []string{"enc", "other-alg", ""} {
		_, _, err := v.Verify(t.Context(), ecToken(t, key, kid, clock.now()))
		wantCode(t, err, chat.Unauthorized)
	}
	hs := signWith(t, jwt.SigningMethodHS256, []byte(testSecret), map[string]any{"kid": "oct"}, map[string]any{
		"sub": "ada", "exp": clock.now().Add(time.Hour).Unix(),
	})
	_, _, err := v.Verify(t.Context(), hs)
	wantCode(t, err, chat.Unauthorized)
}

// 401 would make clients throw good tokens away.
func TestAnIssuerOutOfReachIsNotABadToken(t *testing.T) {
	clock, i := newFakeClock(), newIssuer(t)
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	var logged bytes.Buffer
	v := i.verifier(t, clock, slog.New(slog.NewTextHandler(&logged, nil)))
	for _, kid := range []string{"", "one"} {
		_, _, err := v.Verify(t.Context(), ecToken(t, key, kid, clock.now()))
		wantCode(t, err, chat.Unavailable)
	}
	if !strings.Contains(logged.String(), "JWK set") || strings.Contains(logged.String(), "hush") {
		t.Errorf("log: %s", logged.String())
	}
	i.publish(jwk("one", &key.PublicKey, nil))
	if _, _, err := v.Verify(t.Context(), ecToken(t, key, "one", clock.now())); err != nil {
		t.Fatal(err)
	}
}

func TestAKeySetWithoutEndIsCutOff(t *testing.T) {
	clock := newFakeClock()
	var sent atomic.Int64
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[`))
		for range 64 << 10 {
			n, err := w.Write([]byte(`{"kty":"RSA","n":"AAAA","e":"AQAB"},` + strings.Repeat(" ", 1<<10)))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	defer endless.Close()
	client := keySetClient()
	defer client.CloseIdleConnections()
	v := must(NewVerifier(t.Context(), VerifierOptions{JWKSURL: endless.URL, Now: clock.now, Client: client}))
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, _, err := v.Verify(t.Context(), ecToken(t, key, "", clock.now()))
	wantCode(t, err, chat.Unavailable)
	if n := sent.Load(); n > 20*maxKeySetBytes {
		t.Errorf("%d bytes were taken", n)
	}
}

func TestRedirectsAwayFromHTTPSAreRefused(t *testing.T) {
	check := keySetClient().CheckRedirect
	plain := must(http.NewRequest(http.MethodGet, "http://example.org", nil))
	secure := must(http.NewRequest(http.MethodGet, "https://example.org", nil))
	if check(plain, []*http.Request{secure}) == nil {
		t.Error("https to http")
	}
	if err := check(secure, []*http.Request{plain}); err != nil {
		t.Error(err)
	}
	if check(secure, []*http.Request{secure, secure, secure}) == nil {
		t.Error("a chain")
	}
}

func TestOneAlgorithmPerKey(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	many := make([]namedKey, maxKeysTried+1)
	for n := range many {
		many[n] = namedKey{key: &key.PublicKey}
	}
	if _, err := choose(many, "", "ES256"); !errors.Is(err, errNoKey) {
		t.Error("more keys than are tried")
	}
	if set, err := choose(many[1:], "", "ES256"); err != nil || len(set.Keys) != maxKeysTried {
		t.Error(err)
	}
	for _, alg := range []string{"RS256", "EdDSA", "HS256", "none", ""} {
		if _, err := choose(many[:1], "", alg); err == nil {
			t.Errorf("an ECDSA key for %q", alg)
		}
	}
}
