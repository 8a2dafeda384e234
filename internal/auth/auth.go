// Package auth authenticates requests. It finds the token of a request, identifies
// its user, and manages the accounts of people who log in to chowk itself.
//
// A token is an opaque token of a chowk log-in (chowk stores only its SHA-256), a JWT
// of the host application or, in development, the user's id itself. Valid tokens are
// cached for a short time, so that a thousand sockets that reconnect at once cost no
// signature check and no query.
//
// The package knows no routes and no sockets: gateway and api call its methods.
package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// Mode is the source of users.
type Mode string

// The modes.
const (
	// ModeAccounts: people sign up and log in to chowk. With a Verifier, tokens of
	// a host application are valid as well.
	ModeAccounts Mode = "accounts"
	// ModeJWT: a host application vouches for its users with JWTs.
	ModeJWT Mode = "jwt"
	// ModeNone: a token is a user id, and is not checked. For development.
	ModeNone Mode = "none"
)

// The texts that clients of the old protocol know.
const (
	TextNotAuthenticated = "Not authenticated"
	TextBadToken         = "Could not validate credentials"
	TextInactive         = "Account is inactive"
)

// Challenge is the WWW-Authenticate header that goes with every 401.
const Challenge = "Bearer"

// ErrNotAuthenticated refuses a request without a token.
var ErrNotAuthenticated = &chat.Error{Code: chat.Unauthorized, Message: TextNotAuthenticated}

// ErrBadToken refuses a token that is wrong, expired, revoked, or belongs to a
// disabled user. It does not reveal which.
var ErrBadToken = &chat.Error{Code: chat.Unauthorized, Message: TextBadToken}

// Identity is the authenticated caller.
type Identity struct {
	model.Actor
	Name       string
	ExpiresAt  chat.Time       // 0 means never
	Session    model.TokenHash // zero when the token is not a session
	Admin      bool
	IsInternal bool // this process itself: see Authenticator.InternalToken

	asOf uint64 // the number of revocations at that time, see MaybeRevoked
}

// Options configure an Authenticator.
type Options struct {
	Mode     Mode
	Store    Store
	Verifier *Verifier // nil to accept no JWTs
	// CacheTTL is how long a valid token is cached, 30 s if 0 and at most 60 s. It
	// limits how late this node notices a token that another node revoked.
	CacheTTL time.Duration
	// CacheSize is the maximum number of cached tokens, 100,000 if 0.
	CacheSize int
	Now       func() time.Time // time.Now if nil
}

// Authenticator identifies the user of a token. Its methods may be called from any
// goroutine.
type Authenticator struct {
	// OnRevoke is called for log-ins that have just been closed, so that their sockets
	// can be closed; no hashes means every log-in and token of the user. Set it before
	// the first request. It must not block.
	OnRevoke func(closed []model.TokenHash, user chat.UserID)
	// OnRevoked is called for what this node revoked, and for users that it enabled
	// again, to notify other nodes. It is set and called like OnRevoke, and may be nil.
	OnRevoked func(closed []model.TokenHash, user chat.UserID, enabled bool)

	mode     Mode
	store    Store
	verifier *Verifier
	now      func() time.Time
	ttl      time.Duration
	good     *otter.Cache[model.TokenHash, Identity]
	// gone holds hashes of log-ins that the store does not have. The secret of a log-in
	// is new and random, so a hash that is missing once will never exist.
	gone     *otter.Cache[model.TokenHash, struct{}]
	internal atomic.Pointer[internalToken]

	revocations atomic.Uint64

	mu       sync.Mutex // guards what follows
	disabled map[chat.UserID]time.Time
}

const (
	defaultCacheTTL  = 30 * time.Second
	maxCacheTTL      = 60 * time.Second
	defaultCacheSize = 100_000
	goneCacheSize    = 16_384
	lookupTimeout    = 10 * time.Second
)

// New returns an Authenticator. It starts no goroutine.
func New(o Options) *Authenticator {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheTTL <= 0 {
		o.CacheTTL = defaultCacheTTL
	}
	if o.CacheSize <= 0 {
		o.CacheSize = defaultCacheSize
	}
	ttl := min(o.CacheTTL, maxCacheTTL)
	return &Authenticator{
		mode: o.Mode, store: o.Store, verifier: o.Verifier, now: o.Now, ttl: ttl,
		good:     newCache[Identity](o.CacheSize, ttl, o.Now),
		gone:     newCache[struct{}](goneCacheSize, maxCacheTTL, o.Now),
		disabled: make(map[chat.UserID]time.Time),
	}
}

// clock gives a cache the time since its start, which does not change when the
// system's clock is set: no token stays valid for longer because of that. It has no
// ticks: expired entries are removed when others are added, and the size limits the
// rest.
type clock struct {
	now   func() time.Time
	start time.Time
}

func (c clock) NowNano() int64                    { return int64(c.now().Sub(c.start)) }
func (clock) Tick(time.Duration) <-chan time.Time { return nil }

func newCache[V any](size int, ttl time.Duration, now func() time.Time) *otter.Cache[model.TokenHash, V] {
	return otter.Must(&otter.Options[model.TokenHash, V]{
		MaximumSize:      size,
		ExpiryCalculator: otter.ExpiryWriting[model.TokenHash, V](ttl),
		Clock:            clock{now, now()},
		Executor:         func(fn func()) { fn() }, // maintenance is short, and no goroutine outlives a test
		Logger:           &otter.NoopLogger{},
	})
}

// Cleanup removes expired entries from the caches. Without it, they are removed only
// when others are added, and an idle server would keep them.
func (a *Authenticator) Cleanup() {
	a.good.CleanUp()
	a.gone.CleanUp()
}

// Mode returns the source of users.
func (a *Authenticator) Mode() Mode { return a.mode }

// Authenticate identifies the user of a token. It returns ErrBadToken for every reason
// to refuse it. An error that is not chat.Unauthorized means that the token could not
// be checked at this time.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Identity, error) {
	asOf := a.revocations.Load()
	if token == "" {
		return Identity{}, ErrNotAuthenticated
	}
	if id, ok := a.isInternal(token); ok {
		return id, nil
	}
	load, ok := a.loader(token)
	if !ok {
		return Identity{}, ErrBadToken
	}
	hash := HashToken(token)
	if _, gone := a.gone.GetIfPresent(hash); gone {
		return Identity{}, ErrBadToken
	}
	id, err := a.good.Get(ctx, hash, load)
	switch {
	case errors.Is(err, otter.ErrNotFound):
		a.gone.Set(hash, struct{}{})
		return Identity{}, ErrBadToken
	case err != nil:
		return Identity{}, err
	case a.expired(id.ExpiresAt) || a.isDisabled(id.User):
		return Identity{}, ErrBadToken
	}
	id.asOf = asOf
	return id, nil
}

// MaybeRevoked reports whether the access of any user ended since Authenticate returned
// id; Recheck finds out whether it was this one's. It is for sockets that are being
// opened, which OnRevoke cannot close yet.
func (a *Authenticator) MaybeRevoked(id Identity) bool {
	return !id.IsInternal && a.revocations.Load() != id.asOf
}

// Cached is Authenticate for cached tokens. It makes no query; ok is false for every
// token that is not in the cache.
func (a *Authenticator) Cached(token string) (id Identity, ok bool) {
	if token == "" {
		return Identity{}, false
	}
	id, ok = a.good.GetIfPresent(HashToken(token))
	if !ok || a.expired(id.ExpiresAt) || a.isDisabled(id.User) {
		return Identity{}, false
	}
	return id, true
}

// loader returns the function that checks a token of this form. It refuses what cannot
// be a token before anything is hashed.
func (a *Authenticator) loader(token string) (otter.LoaderFunc[model.TokenHash, Identity], bool) {
	var find func(context.Context, model.TokenHash) (Identity, error)
	switch {
	case a.mode == ModeNone:
		if !chat.UserID(token).Valid() {
			return nil, false
		}
		find = func(ctx context.Context, _ model.TokenHash) (Identity, error) {
			return a.ensure(ctx, chat.User{ID: chat.UserID(token), Name: token}, 0)
		}
	case strings.HasPrefix(token, tokenPrefix):
		if a.mode != ModeAccounts || len(token) != tokenLen {
			return nil, false
		}
		find = a.session
	default:
		if a.verifier == nil || !looksLikeJWT(token) {
			return nil, false
		}
		find = func(ctx context.Context, _ model.TokenHash) (Identity, error) {
			u, expires, err := a.verifier.Verify(ctx, token)
			if err != nil {
				return Identity{}, err
			}
			return a.ensure(ctx, u, expires)
		}
	}
	return func(ctx context.Context, hash model.TokenHash) (Identity, error) {
		// Other callers may wait for this look-up, so it does not end with the first one.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookupTimeout)
		defer cancel()
		return find(ctx, hash)
	}, true
}

func (a *Authenticator) session(ctx context.Context, hash model.TokenHash) (Identity, error) {
	s, u, err := a.store.Session(ctx, hash)
	switch {
	case isCode(err, chat.NotFound):
		return Identity{}, otter.ErrNotFound
	case err != nil:
		return Identity{}, fmt.Errorf("look up log-in: %w", err)
	case !u.IsActive || a.expired(s.ExpiresAt):
		return Identity{}, ErrBadToken
	}
	return Identity{
		Actor: model.UserActor(u.ID), Name: u.Name, ExpiresAt: s.ExpiresAt, Session: hash, Admin: u.IsAdmin,
	}, nil
}

// ensure creates or updates the user that a token names. It omits an email that
// belongs to another user: here an email is information, not identity.
func (a *Authenticator) ensure(ctx context.Context, u chat.User, expires chat.Time) (Identity, error) {
	u.IsActive = true
	u.CreatedAt = chat.TimeOf(a.now())
	stored, err := a.store.EnsureUser(ctx, u)
	if isCode(err, chat.Conflict) && u.Email != nil {
		u.Email, u.IsVerified = nil, false
		stored, err = a.store.EnsureUser(ctx, u)
	}
	if err != nil {
		return Identity{}, fmt.Errorf("ensure user: %w", err)
	}
	if !stored.IsActive {
		return Identity{}, ErrBadToken
	}
	return Identity{Actor: model.UserActor(stored.ID), Name: stored.Name, ExpiresAt: expires, Admin: stored.IsAdmin}, nil
}

// Recheck checks id against the store, not the cache. It is for sockets that have
// been open for a while, in case another node revoked their access.
func (a *Authenticator) Recheck(ctx context.Context, id Identity) error {
	if a.expired(id.ExpiresAt) || a.isDisabled(id.User) {
		return ErrBadToken
	}
	var err error
	if id.Session != (model.TokenHash{}) {
		_, err = a.session(ctx, id.Session)
	} else {
		var account *model.Account
		if account, err = a.store.Account(ctx, id.User); err == nil && !account.IsActive {
			err = ErrBadToken
		}
	}
	if errors.Is(err, otter.ErrNotFound) || isCode(err, chat.NotFound) {
		return ErrBadToken
	}
	return err
}

// Revoked removes closed log-ins from the cache, calls OnRevoke, and notifies the other
// nodes. No hashes means every token of a user who was disabled.
func (a *Authenticator) Revoked(closed []model.TokenHash, user chat.UserID) {
	a.RevokedElsewhere(closed, user)
	if a.OnRevoked != nil {
		a.OnRevoked(closed, user, false)
	}
}

// RevokedElsewhere is Revoked for what another node revoked. It may be called twice
// for the same revocation.
func (a *Authenticator) RevokedElsewhere(closed []model.TokenHash, user chat.UserID) {
	for _, hash := range closed {
		a.good.Invalidate(hash)
	}
	if len(closed) == 0 {
		a.forgetUser(user)
	}
	a.revocations.Add(1) // later look-ups include it; open sockets are closed now
	if a.OnRevoke != nil {
		a.OnRevoke(closed, user)
	}
}

// Enabled reverses Revoked for a whole user, and notifies the other nodes.
func (a *Authenticator) Enabled(user chat.UserID) {
	a.EnabledElsewhere(user)
	if a.OnRevoked != nil {
		a.OnRevoked(nil, user, true)
	}
}

// EnabledElsewhere is Enabled for a user that another node enabled.
func (a *Authenticator) EnabledElsewhere(user chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.disabled, user)
}

// forgetUser removes a user from the cache. A look-up that started before the user was
// disabled may end afterwards, so the user stays marked for as long as its result may
// be cached.
func (a *Authenticator) forgetUser(user chat.UserID) {
	now := a.now()
	a.mu.Lock()
	for u, until := range a.disabled {
		if now.After(until) {
			delete(a.disabled, u)
		}
	}
	a.disabled[user] = now.Add(a.ttl + lookupTimeout)
	a.mu.Unlock()

	var hashes []model.TokenHash
	for hash, id := range a.good.All() {
		if id.User == user {
			hashes = append(hashes, hash)
		}
	}
	for _, hash := range hashes {
		a.good.Invalidate(hash)
	}
}

func (a *Authenticator) isDisabled(user chat.UserID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	until, ok := a.disabled[user]
	return ok && a.now().Before(until)
}

func (a *Authenticator) expired(t chat.Time) bool { return t != 0 && chat.TimeOf(a.now()) >= t }

// HashToken returns the hash under which a secret is stored: its SHA-256.
func HashToken(token string) model.TokenHash { return sha256.Sum256([]byte(token)) }

func isCode(err error, code chat.Code) bool {
	var e *chat.Error
	return errors.As(err, &e) && e.Code == code
}
