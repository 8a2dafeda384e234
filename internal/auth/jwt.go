package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
)

// VerifierOptions configure which JWTs are accepted. A secret (HS256) and public keys
// (RS256, ES256, EdDSA) may both be set while a host application changes from one to
// the other; each algorithm is used only with keys of its own kind.
type VerifierOptions struct {
	Secret   string // at least MinSecret bytes
	KeyFile  string // PEM public keys or certificates, or a JWK set; re-read when it changes
	JWKSURL  string // a JWK set at a URL, or in a file
	Issuer   string // required value of iss, unless ""
	Audience string // required value in aud, unless ""
	Log      *slog.Logger
	Now      func() time.Time
	Client   *http.Client // for JWKSURL; one with limits if nil
}

// Verifier checks the JWTs of a host application.
type Verifier struct {
	parser *jwt.Parser
	secret []byte
	public keySource // nil without public keys
	now    func() time.Time
}

// jwtLeeway is the accepted clock difference for nbf and iat. There is none for exp.
const jwtLeeway = 60 * time.Second

// NewVerifier returns a Verifier. With a URL, it fetches the keys once. If that fails,
// Verify returns chat.Unavailable until a later fetch succeeds. A goroutine that ends
// with ctx renews the keys.
func NewVerifier(ctx context.Context, o VerifierOptions) (*Verifier, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &Verifier{now: o.Now}
	var methods []string
	if o.Secret != "" {
		if err := CheckSecret(o.Secret); err != nil {
			return nil, err
		}
		v.secret = []byte(o.Secret)
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	public, err := newKeySource(ctx, o)
	if err != nil {
		return nil, err
	}
	if public != nil {
		v.public = public
		methods = append(methods, publicAlgorithms()...)
	}
	if len(methods) == 0 {
		return nil, errors.New("create verifier: neither a secret nor a public key is set")
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(jwtLeeway), jwt.WithTimeFunc(o.Now), jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		options = append(options, jwt.WithIssuer(o.Issuer))
	}
	if o.Audience != "" {
		options = append(options, jwt.WithAudience(o.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// claims are the claims of a host application about its user. None of them grants
// permissions: role is text that has no meaning to chowk.
type claims struct {
	jwt.RegisteredClaims
	Name          string `json:"name"`
	GivenName     string `json:"given_name"`
	FamilyName    string `json:"family_name"`
	Email         string `json:"email"`
	EmailVerified any    `json:"email_verified"` // some issuers send "true"
	Picture       string `json:"picture"`
	Role          string `json:"role"`
}

// looksLikeJWT reports whether token may be a JWT. It reads each byte once.
func looksLikeJWT(token string) bool {
	return len(token) <= maxTokenLen && strings.Count(token, ".") == 2
}

// Verify returns the user of a token and its expiry. It returns ErrBadToken for a bad
// token, and chat.Unavailable if the keys could not be fetched.
func (v *Verifier) Verify(ctx context.Context, token string) (chat.User, chat.Time, error) {
	if !looksLikeJWT(token) {
		return chat.User{}, 0, ErrBadToken
	}
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) { return v.keys(ctx, t) })
	if isCode(err, chat.Unavailable) {
		return chat.User{}, 0, err
	}
	if err != nil {
		return chat.User{}, 0, ErrBadToken
	}
	expires := c.ExpiresAt.Time
	if !expires.After(v.now()) || expires.Year() > 9999 {
		return chat.User{}, 0, ErrBadToken
	}
	u := c.user()
	if !u.ID.Valid() {
		return chat.User{}, 0, ErrBadToken
	}
	return u, chat.TimeOf(expires), nil
}

// keys returns the keys that may have signed t. The token's header never selects where
// keys come from: jku, x5u, jwk and x5c are ignored, and kid is only compared.
func (v *Verifier) keys(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("critical extensions are not supported")
	}
	alg := t.Method.Alg()
	if alg == jwt.SigningMethodHS256.Alg() {
		return v.secret, nil // WithValidMethods accepted it, so there is a secret
	}
	kid, _ := t.Header["kid"].(string)
	return v.public.keys(ctx, kid, alg)
}

const (
	maxNameRunes  = 100
	maxEmailBytes = 254
	maxURLBytes   = 2048
	maxRoleRunes  = 32
)

func (c *claims) user() chat.User {
	given, family := cleanText(c.GivenName, maxNameRunes), cleanText(c.FamilyName, maxNameRunes)
	name := cleanText(c.Name, maxNameRunes)
	if name == "" {
		name = cleanText(given+" "+family, maxNameRunes)
	}
	u := chat.User{
		ID: chat.UserID(c.Subject), Name: name, FirstName: textOrNil(given), LastName: textOrNil(family),
		Role: cleanText(c.Role, maxRoleRunes), Picture: textOrNil(cleanURL(c.Picture)),
	}
	if email, ok := cleanEmail(c.Email); ok {
		u.Email = &email
		u.IsVerified = c.EmailVerified == true || c.EmailVerified == "true"
	}
	return u
}

// cleanText removes control characters (no database accepts NUL) and those that change
// the direction of text, trims the text, and cuts it to n characters.
func cleanText(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || changesDirection(r) {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > n {
		s = strings.TrimSpace(string(r[:n]))
	}
	return s
}

// changesDirection reports whether r is a bidirectional control character, with which a
// name could imitate another one or affect the text around it on a page.
func changesDirection(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

func cleanURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURLBytes || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

// cleanEmail accepts an address without a display name, in its canonical form.
func cleanEmail(s string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) > maxEmailBytes || strings.ContainsFunc(s, unicode.IsControl) {
		return "", false
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s {
		return "", false
	}
	return s, true
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// MintJWT signs a token like a host application, for scripts and tests.
func MintJWT(secret, issuer, audience string, user chat.UserID, now time.Time, ttl time.Duration) (string, error) {
	if !user.Valid() {
		return "", errors.New("mint token: a user id has 1 to 64 characters from A-Z a-z 0-9 _ . : -")
	}
	if err := CheckSecret(secret); err != nil {
		return "", err
	}
	c := jwt.RegisteredClaims{
		Issuer: issuer, Subject: string(user),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}
	if audience != "" {
		c.Audience = jwt.ClaimStrings{audience}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte(secret))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// MinSecret is the minimum length of an HS256 secret, in bytes (RFC 7518, section 3.2).
const MinSecret = 32

// CheckSecret refuses secrets that can be guessed: short ones, ones with few different
// characters, and the placeholders of examples.
func CheckSecret(secret string) error {
	if len(secret) < MinSecret {
		return fmt.Errorf(
			"the JWT secret has %d bytes but needs at least %d; create one with `openssl rand -base64 48`", len(secret),
			MinSecret,
		)
	}
	seen := make(map[byte]bool)
	for i := range len(secret) {
		seen[secret[i]] = true
	}
	plain := strings.NewReplacer("-", "", "_", "", " ", "", ".", "").Replace(strings.ToLower(secret))
	weak := len(seen) < 10
	for _, word := range []string{
		"changeme", "changethis", "changein", "yoursecret", "supersecret", "secretkey", "jwtsecret",
		"placeholder", "insecure", "example", "password", "default",
	} {
		weak = weak || strings.Contains(plain, word)
	}
	if weak {
		return errors.New(
			"the JWT secret can be guessed: it is a placeholder or has too few different characters; create one with `openssl " +
				"rand -base64 48`",
		)
	}
	return nil
}
