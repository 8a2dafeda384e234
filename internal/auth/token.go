package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

const (
	// tokenPrefix lets people and secret scanners recognise a leaked token.
	tokenPrefix = "chowk_"
	secretBytes = 32
	tokenLen    = len(tokenPrefix) + 43 // 32 bytes in unpadded base64

	// CookieName is the name of the cookie and of the query parameter for a token.
	CookieName = "access_token"

	subprotocolPrefix = "bearer."
	maxTokenLen       = 8 << 10
)

// newSecret returns 32 random bytes as text, and the hash under which they are stored.
func newSecret(prefix string) (string, model.TokenHash) {
	var b [secretBytes]byte
	rand.Read(b[:]) // never fails: it ends the process instead
	s := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return s, HashToken(s)
}

// OpenSession logs a user in and returns the token, which is not stored anywhere.
func OpenSession(ctx context.Context, store Store, user chat.UserID, now time.Time, ttl time.Duration) (string, error) {
	token, hash := newSecret(tokenPrefix)
	err := store.OpenSession(ctx, model.Login{
		Hash: hash, UserID: user, CreatedAt: chat.TimeOf(now), ExpiresAt: chat.TimeOf(now.Add(ttl)),
	})
	if err != nil {
		return "", fmt.Errorf("store log-in: %w", err)
	}
	return token, nil
}

// Source is the part of a request that contained the token.
type Source int

// The sources, in the order in which they are searched.
const (
	SourceNone Source = iota
	SourceHeader
	SourceSubprotocol
	SourceCookie
	SourceQuery
)

func (s Source) String() string {
	return [...]string{"none", "header", "subprotocol", "cookie", "query"}[s]
}

// TokenFrom returns the token of a request, from the Authorization header, the
// subprotocol list, the cookie or the query parameter, in this order. It returns no
// token if the first of these that has any has two different ones: which one counts
// must not depend on the reader.
func TokenFrom(r *http.Request) (string, Source) {
	for _, part := range []struct {
		source Source
		tokens func(*http.Request) []string
	}{
		{SourceHeader, headerTokens},
		{SourceSubprotocol, subprotocolTokens},
		{SourceCookie, cookieTokens},
		{SourceQuery, queryTokens},
	} {
		if found := part.tokens(r); len(found) > 0 {
			for _, other := range found[1:] {
				if other != found[0] {
					return "", part.source
				}
			}
			return found[0], part.source
		}
	}
	return "", SourceNone
}

// headerTokens ignores other schemes: a proxy may use Basic for its own purposes.
func headerTokens(r *http.Request) (found []string) {
	for _, v := range r.Header["Authorization"] {
		scheme, token, ok := strings.Cut(v, " ")
		if ok && strings.EqualFold(scheme, "Bearer") {
			found = append(found, strings.TrimSpace(token))
		}
	}
	return found
}

func subprotocolTokens(r *http.Request) (found []string) {
	for _, v := range r.Header["Sec-Websocket-Protocol"] {
		for p := range strings.SplitSeq(v, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(p), subprotocolPrefix); ok {
				found = append(found, token)
			}
		}
	}
	return found
}

func cookieTokens(r *http.Request) (found []string) {
	for _, c := range r.CookiesNamed(CookieName) {
		if c.Value != "" {
			found = append(found, c.Value)
		}
	}
	return found
}

func queryTokens(r *http.Request) []string {
	if !strings.Contains(r.URL.RawQuery, CookieName) {
		return nil
	}
	return r.URL.Query()[CookieName]
}

// SessionCookie returns a cookie with the token that no script can read. Without a
// token, the cookie removes the present one. secure is for pages served over TLS.
func SessionCookie(token string, ttl time.Duration, secure bool) *http.Cookie {
	c := &http.Cookie{
		Name: CookieName, Value: token, Path: "/", MaxAge: int(ttl / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}

// Cookie is SessionCookie with the configured lifetime of log-ins.
func (a *Accounts) Cookie(token string, secure bool) *http.Cookie {
	return SessionCookie(token, a.SessionTTL, secure)
}
