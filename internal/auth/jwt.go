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

// VerifierOptions say which JWTs to believe. A secret (HS256) and public keys
// (RS256, ES256, EdDSA) may both be given while a host application changes from
// one to the other; an algorithm only ever meets keys of its own kind.
type VerifierOptions struct {
	Secret   string // at least MinSecret bytes
	KeyFile  string // PEM public keys or certificates, or a JWK set; read again when it changes
	JWKSURL  string // a JWK set at a URL, or in a file
	Issuer   string // required in iss when not ""
	Audience string // required in aud when not ""
	Log      *slog.Logger
	Now      func() time.Time
	Client   *http.Client // for JWKSURL; a careful one when nil
}

// Verifier checks the JWTs of a host application.
type Verifier struct {
	parser *jwt.Parser
	secret []byte
	public keySource // nil without public keys
	now    func() time.Time
}

// jwtLeeway is how far clocks may disagree about nbf and iat. exp has none: what
// has expired has expired.
const jwtLeeway = 60 * time.Second

// NewVerifier makes a Verifier. With a URL it fetches the keys once, which may fail
// (tokens are then answered with unavailable until a later fetch succeeds), and a
// goroutine that ends with ctx renews them.
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
		return nil, errors.New("make verifier: no secret and no public key given")
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

// claims are what a host application says of its user. A claim that would give
// rights here is not among them: role is text that chowk gives no meaning.
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

// looksLikeJWT refuses what cannot be one, at the price of one look at each byte.
func looksLikeJWT(token string) bool {
	return len(token) <= maxTokenLen && strings.Count(token, ".") == 2
}

// Verify tells whom a token names and until when. A bad token is ErrBadToken;
// chat.Unavailable says that the keys could not be had.
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

// keys are those that may have signed t. Nothing that the token says of itself
// chooses a place to look: jku, x5u, jwk and x5c are not read, and kid is only
// compared.
func (v *Verifier) keys(ctx context.Context, t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errors.New("critical extensions are not understood")
	}
	alg := t.Method.Alg()
	if alg == jwt.SigningMethodHS256.Alg() {
		return v.secret, nil // WithValidMethods let it through, so there is one
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

// cleanText drops control characters (no database takes NUL) and those that turn
// the direction of text, trims, and cuts to n characters.
func cleanText(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || turnsText(r) {
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

// turnsText finds the characters that turn the direction of what follows, by which
// a name could pass for another or reach out of its place on a page.
func turnsText(r rune) bool {
	return '\u202a' <= r && r <= '\u202e' || '\u2066' <= r && r <= '\u2069'
}

func cleanURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURLBytes || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return u.String()
}

// cleanEmail takes a bare address, no display name, as it would be written to.
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

// MintJWT signs a token as a host application would, for scripts and tests.
func MintJWT(secret, issuer, audience string, user chat.UserID, now time.Time, ttl time.Duration) (string, error) {
	if !user.Valid() {
		return "", errors.New("mint token: a user id has 1 to 64 characters out of A-Z a-z 0-9 _ . : -")
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

// MinSecret is the shortest HS256 secret, in bytes (RFC 7518 section 3.2).
const MinSecret = 32

// CheckSecret refuses secrets that somebody could guess: short ones, ones of few
// different characters, and the placeholders that ship in examples.
func CheckSecret(secret string) error {
	if len(secret) < MinSecret {
		return fmt.Errorf("the JWT secret has %d bytes and needs at least %d; `openssl rand -base64 48` makes a good one", len(secret), MinSecret)
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
		return errors.New("the JWT secret can be guessed: it is a placeholder or has too few different characters; `openssl rand -base64 48` makes a good one")
	}
	return nil
}
