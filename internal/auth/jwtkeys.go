package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"github.com/chowk-chat/chowk/chat"
)

// A keySource returns the public keys of a host application.
type keySource interface {
	// keys returns the keys that may have signed with alg: all keys for alg if kid is ""
	// or the source has no ids.
	keys(ctx context.Context, kid, alg string) (jwt.VerificationKeySet, error)
}

func publicAlgorithms() []string {
	return []string{jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg()}
}

const (
	maxKeySetBytes    = 1 << 20
	maxKeysTried      = 16 // each costs a signature check
	minRSABits        = 2048
	fileCheckInterval = 5 * time.Second
	fetchTimeout      = 5 * time.Second
	fetchInterval     = time.Hour
	// An unknown key id may belong to a new key of the host application, or be invented:
	// two fetches are allowed at once, then one every ten seconds.
	unknownInterval = 10 * time.Second
	unknownBurst    = 2
)

var (
	errNoKey = errors.New("no key for this token")
	errKeys  = &chat.Error{
		Code: chat.Unavailable, Message: "The keys for checking tokens are unavailable. Try again in a moment.",
		RetryAfter: 5 * time.Second,
	}
)

func newKeySource(ctx context.Context, o VerifierOptions) (keySource, error) {
	switch {
	case o.KeyFile != "" && o.JWKSURL != "":
		return nil, errors.New("create verifier: a key file and a JWKS URL are both set; choose one")
	case o.KeyFile != "":
		return newFileKeys(ctx, o.KeyFile, o.Now, o.Log)
	case strings.HasPrefix(o.JWKSURL, "https://"), strings.HasPrefix(o.JWKSURL, "http://"):
		return newURLKeys(ctx, o)
	case o.JWKSURL != "":
		return newFileKeys(ctx, o.JWKSURL, o.Now, o.Log)
	}
	return nil, nil
}

// keyMatchesAlg reports whether key has the one type that alg requires. This binds the
// algorithm to the key: a token cannot make the server use a key in another way.
func keyMatchesAlg(key any, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg == jwt.SigningMethodRS256.Alg() && k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return alg == jwt.SigningMethodES256.Alg() && k.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == jwt.SigningMethodEdDSA.Alg()
	}
	return false
}

// namedKey is a public key with its id and algorithm in the key set.
type namedKey struct {
	kid, alg string
	key      crypto.PublicKey
}

func choose(all []namedKey, kid, alg string) (jwt.VerificationKeySet, error) {
	var set jwt.VerificationKeySet
	for _, k := range all {
		if kid != "" && k.kid != "" && k.kid != kid || k.alg != "" && k.alg != alg || !keyMatchesAlg(k.key, alg) {
			continue
		}
		if set.Keys = append(set.Keys, k.key); len(set.Keys) > maxKeysTried {
			return jwt.VerificationKeySet{}, errNoKey
		}
	}
	if len(set.Keys) == 0 {
		return jwt.VerificationKeySet{}, errNoKey
	}
	return set, nil
}

// fileKeys re-reads its file when it changes, so that replacing the file rotates the
// keys. While the new file cannot be read, the old keys stay in use.
type fileKeys struct {
	path string
	now  func() time.Time
	log  *slog.Logger

	mu        sync.Mutex // guards what follows
	checkedAt time.Time
	changed   time.Time
	size      int64
	all       []namedKey
}

func newFileKeys(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (*fileKeys, error) {
	f := &fileKeys{path: path, now: now, log: log}
	if err := f.read(ctx); err != nil {
		return nil, err
	}
	f.checkedAt = now()
	return f, nil
}

func (f *fileKeys) keys(ctx context.Context, kid, alg string) (jwt.VerificationKeySet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checkedAt) >= fileCheckInterval {
		f.checkedAt = now
		info, err := os.Stat(f.path)
		if err == nil && (!info.ModTime().Equal(f.changed) || info.Size() != f.size) {
			err = f.read(ctx)
		}
		if err != nil {
			f.log.Warn("read the changed file of JWT keys; the previous keys stay in use", "err", err)
		}
	}
	return choose(f.all, kid, alg)
}

func (f *fileKeys) read(ctx context.Context) error {
	file, err := os.Open(f.path)
	if err != nil {
		return fmt.Errorf("read JWT keys: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("read JWT keys: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxKeySetBytes))
	if err != nil {
		return fmt.Errorf("read JWT keys: %w", err)
	}
	all, err := parseKeys(ctx, data)
	if err != nil {
		return fmt.Errorf("read JWT keys from %s: %w", f.path, err)
	}
	f.all, f.changed, f.size = all, info.ModTime(), info.Size()
	return nil
}

// parseKeys reads PEM or a JWK set.
func parseKeys(ctx context.Context, data []byte) ([]namedKey, error) {
	var all []namedKey
	var err error
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '{' {
		all, err = parseJWKS(ctx, trimmed)
	} else {
		all, err = parsePEM(data)
	}
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		for _, alg := range publicAlgorithms() {
			if keyMatchesAlg(k.key, alg) {
				return all, nil
			}
		}
	}
	return nil, errors.New("contains no usable public key: RSA with at least 2048 bits, ECDSA P-256, or Ed25519")
}

func parsePEM(data []byte) (all []namedKey, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return all, nil
		}
		var key any
		switch block.Type {
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = cert.PublicKey
			}
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("contains a private key, which must stay with the application that signs; use the public key")
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read PEM block %s: %w", block.Type, err)
		}
		all = append(all, namedKey{key: key})
	}
}

func parseJWKS(ctx context.Context, data []byte) ([]namedKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, errors.New("is not a JWK set (RFC 7517)")
	}
	store, err := set.ToStorage()
	if err != nil {
		return nil, fmt.Errorf("read JWK set: %w", err)
	}
	jwks, err := store.KeyReadAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("read JWK set: %w", err)
	}
	return named(jwks...), nil
}

// named returns the public keys for signatures. It ignores oct keys: what a set
// publishes is not a secret.
func named(jwks ...jwkset.JWK) []namedKey {
	var all []namedKey
	for _, j := range jwks {
		m := j.Marshal()
		if m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		key := j.Key()
		if private, ok := key.(crypto.Signer); ok {
			key = private.Public()
		}
		all = append(all, namedKey{kid: m.KID, alg: m.ALG.String(), key: key})
	}
	return all
}

// urlKeys is a JWK set at a URL, renewed every hour and, within limits, when a token
// names a key that is not in it.
type urlKeys struct{ storage jwkset.Storage }

func newURLKeys(ctx context.Context, o VerifierOptions) (*urlKeys, error) {
	client := o.Client
	if client == nil {
		client = keySetClient()
	}
	k, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{o.JWKSURL}, keyfunc.Override{
		Client:            client,
		HTTPTimeout:       fetchTimeout,
		RefreshInterval:   fetchInterval,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownInterval), unknownBurst),
		RateLimitWaitMax:  fetchTimeout, // the library also limits the fetch by it
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				o.Log.Warn("fetch the JWK set; the previous keys stay in use", "err", redactURL(err))
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create verifier: %w", err)
	}
	return &urlKeys{k.Storage()}, nil
}

func (u *urlKeys) keys(ctx context.Context, kid, alg string) (jwt.VerificationKeySet, error) {
	if kid != "" {
		j, err := u.storage.KeyRead(ctx, kid)
		if err == nil {
			return choose(named(j), kid, alg)
		}
		if !errors.Is(err, jwkset.ErrKeyNotFound) {
			return jwt.VerificationKeySet{}, errKeys // the limit on fetches, or a timeout
		}
	}
	all, err := u.storage.KeyReadAll(ctx)
	if err != nil || len(all) == 0 {
		return jwt.VerificationKeySet{}, errKeys // never fetched yet
	}
	if kid != "" {
		return jwt.VerificationKeySet{}, errNoKey
	}
	return choose(named(all...), kid, alg)
}

// keySetClient returns a client that reads at most maxKeySetBytes and follows few
// redirects.
func keySetClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // the standard library's own
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Timeout:   fetchTimeout,
		Transport: limitedTransport{transport},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) >= 3 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("too many redirects, or one away from https")
			}
			return nil
		},
	}
}

type limitedTransport struct{ http.RoundTripper }

func (t limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(res.Body, maxKeySetBytes), res.Body}
	return res, nil
}

// redactURL returns the reason of a failed fetch without the URL, which may contain a
// password.
func redactURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return fmt.Errorf("fetch: %w", e.Err)
	}
	return err
}
