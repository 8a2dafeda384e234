// Package auth answers one question: who is asking? It finds the token of a
// request, tells whose it is, and keeps the accounts of people who log in here.
//
// A token is an opaque session of chowk's own (of which only the SHA-256 is
// stored), a JWT of the host application, or, in development, the user's id
// itself. Tokens found good are remembered for a short while, so that a thousand
// sockets that reconnect at once cost no signature check and no query.
//
// It knows no route and no socket: the doors bind its methods.
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

// Mode is where users come from.
type Mode string

// The modes.
const (
	// ModeAccounts: people sign up and log in here. With a Verifier the tokens of
	// a host application are good as well.
	ModeAccounts Mode = "accounts"
	// ModeJWT: a host application vouches for its users with JWTs.
	ModeJWT Mode = "jwt"
	// ModeNone: a token is a user id, and everybody is believed. For development.
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

// ErrBadToken refuses a token that is wrong, expired, revoked, or of a disabled
// user: the reasons are not told apart.
var ErrBadToken = &chat.Error{Code: chat.Unauthorized, Message: TextBadToken}

// Identity is who is asking.
type Identity struct {
	model.Actor
	Name       string
	ExpiresAt  chat.Time       // 0 is never
	Session    model.TokenHash // zero when the token is not a session
	Admin      bool
	IsInternal bool // this process itself: see Authenticator.IsInternal

	asOf uint64 // revocations until then, see MaybeRevoked
}

// Options make an Authenticator.
type Options struct {
	Mode     Mode
	Store    Store
	Verifier *Verifier // nil when no JWT is accepted
	// CacheTTL is how long a token that was good stays so without being looked at,
	// 30 s when 0. It bounds how late another node learns of a revoked token.
	CacheTTL time.Duration
	// CacheSize is how many tokens are remembered, 100,000 when 0.
	CacheSize int
	Now       func() time.Time // time.Now when nil
}

// Authenticator tells whose a token is.
type Authenticator struct {
	// OnRevoke is told of sessions that have just been closed, so that their sockets
	// can be; without hashes it is every session and token of the user. It is set
	// before the first request, and must not block.
	OnRevoke func(closed []model.TokenHash, user chat.UserID)
	// OnRevoked is told of what this node revoked, and of users whom it enabled again, for
	// the other nodes. It is set and called as OnRevoke is; nil when there are none.
	OnRevoked func(closed []model.TokenHash, user chat.UserID, enabled bool)

	mode     Mode
	store    Store
	verifier *Verifier
	now      func() time.Time
	ttl      time.Duration
	good     *otter.Cache[model.TokenHash, Identity]
	// gone holds hashes of sessions that the store does not have. A session's
	// secret is random and new, so what was not there will never be.
	gone *otter.Cache[model.TokenHash, struct{}]
	own  atomic.Pointer[own]

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

// New makes an Authenticator. It starts nothing.
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

// clock tells a cache the time since a start, which does not follow when the
// system's clock is set: a token is not believed for longer because of that. It has
// no ticks: what has expired leaves when something else comes, and the size bounds
// the rest.
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
		Executor:         func(fn func()) { fn() }, // upkeep is short, and no goroutine outlives a test
		Logger:           &otter.NoopLogger{},
	})
}

// Cleanup drops what is remembered of credentials and has expired. Without it that
// leaves when something else comes: a server to which nobody connects any more would
// keep it.
func (a *Authenticator) Cleanup() {
	a.good.CleanUp()
	a.gone.CleanUp()
}

// Mode is where users come from.
func (a *Authenticator) Mode() Mode { return a.mode }

// Authenticate tells whose token it is. Any reason to refuse it is ErrBadToken; an
// error that is not a chat.Unauthorized says that nobody could tell just now.
func (a *Authenticator) Authenticate(ctx context.Context, token string) (Identity, error) {
	asOf := a.revocations.Load()
	if token == "" {
		return Identity{}, ErrNotAuthenticated
	}
	if id, isOwn := a.isOwn(token); isOwn {
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

// MaybeRevoked says that somebody's access ended since Authenticate gave id: whoever it
// was, Recheck tells. It is for sockets, which OnRevoke cannot close before they are
// open.
func (a *Authenticator) MaybeRevoked(id Identity) bool {
	return !id.IsInternal && a.revocations.Load() != id.asOf
}

// Cached is Authenticate for tokens that were good a moment ago, without asking
// anybody: ok is false of all others, whatever they are.
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

// loader chooses by the look of the token how to find out about it. What cannot be
// a token at all is refused before anything is hashed.
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
		// Others may wait for this look-up, so it does not end with the first caller.
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
		return Identity{}, fmt.Errorf("look up session: %w", err)
	case !u.IsActive || a.expired(s.ExpiresAt):
		return Identity{}, ErrBadToken
	}
	return Identity{Actor: model.UserActor(u.ID), Name: u.Name, ExpiresAt: s.ExpiresAt, Session: hash, Admin: u.IsAdmin}, nil
}

// ensure makes sure that the store knows the user that a token names. An email
// that is another user's is left out: it is decoration here, not identity.
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

// Recheck asks the store, not the memory, whether id still holds. It is for
// sockets that have been open for a while: what another node revoked.
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

// Revoked forgets sessions that were closed, and tells OnRevoke. Without hashes
// it is every token of a user who was disabled. The other nodes are told.
func (a *Authenticator) Revoked(closed []model.TokenHash, user chat.UserID) {
	a.RevokedElsewhere(closed, user)
	if a.OnRevoked != nil {
		a.OnRevoked(closed, user, false)
	}
}

// RevokedElsewhere is Revoked for what another node revoked. It may be told twice.
func (a *Authenticator) RevokedElsewhere(closed []model.TokenHash, user chat.UserID) {
	for _, hash := range closed {
		a.good.Invalidate(hash)
	}
	if len(closed) == 0 {
		a.forgetUser(user)
	}
	a.revocations.Add(1) // what is asked for from here on knows of it; what is open is closed now
	if a.OnRevoke != nil {
		a.OnRevoke(closed, user)
	}
}

// Enabled takes back a Revoked of the whole user. The other nodes are told.
func (a *Authenticator) Enabled(user chat.UserID) {
	a.EnabledElsewhere(user)
	if a.OnRevoked != nil {
		a.OnRevoked(nil, user, true)
	}
}

// EnabledElsewhere is Enabled for what another node took back.
func (a *Authenticator) EnabledElsewhere(user chat.UserID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.disabled, user)
}

// forgetUser drops what is remembered of a user. A look-up that began before they
// were disabled may end after, so they stay marked for as long as it may be kept.
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

// HashToken is what is kept of a secret.
func HashToken(token string) model.TokenHash { return sha256.Sum256([]byte(token)) }

func isCode(err error, code chat.Code) bool {
	var e *chat.Error
	return errors.As(err, &e) && e.Code == code
}
