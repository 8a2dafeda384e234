package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

const testSecret = "5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"

// desk is an Authenticator over a fake store.
type desk struct {
	*Authenticator
	store *fakeStore
	clock *fakeClock
}

func newDesk(t *testing.T, mode Mode, secret string) *desk {
	t.Helper()
	d := &desk{store: newFakeStore(), clock: newFakeClock()}
	var v *Verifier
	if secret != "" {
		v = must(NewVerifier(t.Context(), VerifierOptions{Secret: secret, Now: d.clock.now}))
	}
	d.Authenticator = New(Options{Mode: mode, Store: d.store, Verifier: v, Now: d.clock.now})
	return d
}

func (d *desk) addUser(id chat.UserID) {
	d.store.accounts[id] = model.Account{User: chat.User{ID: id, Name: string(id), IsActive: true}}
}

func (d *desk) session(t *testing.T, id chat.UserID, ttl time.Duration) string {
	t.Helper()
	d.addUser(id)
	return must(OpenSession(t.Context(), d.store, id, d.clock.now(), ttl))
}

func (d *desk) jwt(id chat.UserID, ttl time.Duration) string {
	return must(MintJWT(testSecret, "", "", id, d.clock.now(), ttl))
}

func TestSessionIsItsUser(t *testing.T) {
	d := newDesk(t, ModeAccounts, "")
	token := d.session(t, "ada", time.Hour)
	if !strings.HasPrefix(token, "chowk_") || len(token) != tokenLen {
		t.Fatalf("token %q", token)
	}
	id := must(d.Authenticate(t.Context(), token))
	if id.User != "ada" || id.Session != HashToken(token) || id.ExpiresAt != chat.TimeOf(d.clock.now().Add(time.Hour)) ||
		id.Admin {
		t.Fatalf("identity %+v", id)
	}
	for hash := range d.store.sessions {
		if strings.Contains(token, string(hash[:])) || hash != HashToken(token) {
			t.Fatal("the store has more than the hash")
		}
	}
}

func TestD50OnlyACredentialMakesAnIdentity(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	good := d.session(t, "ada", time.Hour)
	last := good[:len(good)-2] + "AA"
	for _, token := range []string{
		"ada", "null", "undefined", "Bearer", "chowk_", good[:len(good)-1], good + "A", last,
		strings.ToLower(good), " " + good, "0190a5e2-7b1c-7d3e-8f00-0123456789ab", strings.Repeat(".", 1_000_000),
	} {
		if id, err := d.Authenticate(t.Context(), token); !errors.Is(err, ErrBadToken) || id != (Identity{}) {
			t.Errorf("%.40q: %+v, %v", token, id, err)
		}
	}
	_, err := d.Authenticate(t.Context(), "")
	if !errors.Is(err, ErrNotAuthenticated) {
		t.Errorf("no token: %v", err)
	}
}

func TestWhatCannotBeATokenNeverReachesTheStore(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	for _, token := range []string{
		"x", "chowk_short", "a.b", strings.Repeat("a.", 50), "a." + strings.Repeat("b", maxTokenLen) + ".c", "a.b.c",
	} {
		_, err := d.Authenticate(t.Context(), token)
		wantCode(t, err, chat.Unauthorized)
	}
	if n := d.store.total(); n != 0 {
		t.Fatalf("the store was asked %d times", n)
	}
}

func TestAReconnectStormIsOneLookUp(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	session, token := d.session(t, "ada", time.Hour), d.jwt("bob", time.Hour)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			for _, tok := range []string{session, token} {
				if _, err := d.Authenticate(t.Context(), tok); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s, e := d.store.count("Session"), d.store.count("EnsureUser"); s != 1 || e != 1 {
		t.Fatalf("%d and %d look-ups, want 1 and 1", s, e)
	}
	d.clock.advance(maxCacheTTL)
	must(d.Authenticate(t.Context(), session))
	if s := d.store.count("Session"); s != 2 {
		t.Fatalf("%d look-ups after the cache's time, want 2", s)
	}
}

// TestIdleServersForgetTokens: expired tokens leave the cache even if no one connects.
func TestIdleServersForgetTokens(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	for i := range 100 {
		must(d.Authenticate(t.Context(), d.jwt(chat.UserID(fmt.Sprint("user-", i)), time.Hour)))
	}
	d.Cleanup()
	if n := d.good.EstimatedSize(); n != 100 {
		t.Errorf("%d tokens are remembered, want all 100", n)
	}
	d.clock.advance(maxCacheTTL + 2*time.Second)
	d.Cleanup()
	if n := d.good.EstimatedSize(); n != 0 {
		t.Errorf("%d tokens are remembered after they expired", n)
	}
}

func TestADeadTokenThatKeepsKnockingIsOneLookUp(t *testing.T) {
	d := newDesk(t, ModeAccounts, "")
	token, _ := newSecret(tokenPrefix)
	for range 100 {
		_, err := d.Authenticate(t.Context(), token)
		wantCode(t, err, chat.Unauthorized)
	}
	if n := d.store.count("Session"); n != 1 {
		t.Fatalf("%d look-ups, want 1", n)
	}
}

func TestTheFirstCallerGoingAwaySpoilsItForNobody(t *testing.T) {
	d := newDesk(t, ModeAccounts, "")
	token := d.session(t, "ada", time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	d.store.during = func(string) { cancel() }
	if _, err := d.Authenticate(ctx, token); err != nil {
		t.Fatal(err)
	}
	must(d.Authenticate(t.Context(), token))
	if n := d.store.count("Session"); n != 1 {
		t.Fatalf("%d look-ups, want 1", n)
	}
}

func TestD53ATokenEndsWhenItSaysEvenWhenRemembered(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	for _, token := range []string{d.session(t, "ada", 10*time.Second), d.jwt("bob", 10*time.Second)} {
		must(d.Authenticate(t.Context(), token))
	}
	session, token := d.session(t, "ada", 10*time.Second), d.jwt("bob", 10*time.Second)
	must(d.Authenticate(t.Context(), session))
	must(d.Authenticate(t.Context(), token))
	d.clock.advance(10 * time.Second)
	for _, tok := range []string{session, token} {
		_, err := d.Authenticate(t.Context(), tok)
		wantCode(t, err, chat.Unauthorized)
	}
}

func TestD53ARevokedSessionEndsAtOnceAndItsSocketsAreTold(t *testing.T) {
	d := newDesk(t, ModeAccounts, "")
	one, two := d.session(t, "ada", time.Hour), d.session(t, "ada", time.Hour)
	must(d.Authenticate(t.Context(), one))
	must(d.Authenticate(t.Context(), two))
	var told []model.TokenHash
	d.OnRevoke = func(closed []model.TokenHash, user chat.UserID) {
		if user != "ada" {
			t.Errorf("told of %s", user)
		}
		told = append(told, closed...)
	}
	a := NewAccounts(AccountsOptions{Store: d.store, Auth: d.Authenticator, Now: d.clock.now})
	if err := a.Logout(t.Context(), must(d.Authenticate(t.Context(), one))); err != nil {
		t.Fatal(err)
	}
	_, err := d.Authenticate(t.Context(), one)
	wantCode(t, err, chat.Unauthorized)
	must(d.Authenticate(t.Context(), two))
	if len(told) != 1 || told[0] != HashToken(one) {
		t.Fatalf("told %d hashes", len(told))
	}
}

func TestD53DisablingAUserEndsEveryToken(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	session, token := d.session(t, "ada", time.Hour), d.jwt("ada", time.Hour)
	must(d.Authenticate(t.Context(), session))
	must(d.Authenticate(t.Context(), token))
	var everything bool
	d.OnRevoke = func(closed []model.TokenHash, _ chat.UserID) { everything = len(closed) == 0 }
	a := NewAccounts(AccountsOptions{Store: d.store, Auth: d.Authenticator, Now: d.clock.now})
	admin := Identity{Actor: model.UserActor("root"), Admin: true}
	if err := a.SetActive(t.Context(), admin, "ada", false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, tok := range []string{session, token} {
			_, err := d.Authenticate(t.Context(), tok)
			wantCode(t, err, chat.Unauthorized)
		}
		d.clock.advance(time.Minute)
	}
	if !everything {
		t.Fatal("OnRevoke was not told of everything")
	}
	if err := a.SetActive(t.Context(), admin, "ada", true); err != nil {
		t.Fatal(err)
	}
	must(d.Authenticate(t.Context(), token)) // the host application's token is good again
	_, err := d.Authenticate(t.Context(), session)
	wantCode(t, err, chat.Unauthorized) // the session was closed
}

// A look-up reads the user while active, the user is disabled, the look-up ends.
func TestD53ALookUpUnderWayDoesNotOutliveTheDisabling(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	d.addUser("ada")
	token := d.jwt("ada", time.Hour)
	slow := &slowStore{fakeStore: d.store, read: make(chan struct{}), goOn: make(chan struct{})}
	d.Authenticator.store = slow
	done := make(chan error)
	go func() { // ends when the look-up does
		_, err := d.Authenticate(context.Background(), token)
		done <- err
	}()
	<-slow.read
	must(d.store.SetActive(t.Context(), "ada", false))
	d.Revoked(nil, "ada")
	close(slow.goOn)
	wantCode(t, <-done, chat.Unauthorized)
	for range 3 {
		_, err := d.Authenticate(t.Context(), token)
		wantCode(t, err, chat.Unauthorized)
		d.clock.advance(20 * time.Second)
	}
}

type slowStore struct {
	*fakeStore
	once       sync.Once
	read, goOn chan struct{}
}

func (s *slowStore) EnsureUser(ctx context.Context, u chat.User) (chat.User, error) {
	u, err := s.fakeStore.EnsureUser(ctx, u)
	s.once.Do(func() { close(s.read) })
	<-s.goOn
	return u, err
}

// The old page throws its token away on 401, so trouble must look different.
func TestD07AStoreInTroubleIsNotABadToken(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	tokens := []string{d.session(t, "ada", time.Hour), d.jwt("bob", time.Hour)}
	for _, trouble := range []error{errors.New("connection refused"), chat.Errorf(chat.Overloaded, "busy")} {
		d.store.broken = trouble
		for _, token := range tokens {
			_, err := d.Authenticate(t.Context(), token)
			if err == nil || isCode(err, chat.Unauthorized) || !errors.Is(err, trouble) {
				t.Errorf("%v: %v", trouble, err)
			}
		}
	}
	d.store.broken = nil
	for _, token := range tokens { // and trouble is not remembered
		must(d.Authenticate(t.Context(), token))
	}
}

func TestModesTakeOnlyTheirOwnTokens(t *testing.T) {
	for _, c := range []struct {
		mode               Mode
		secret             string
		session, jwt, bare bool
	}{
		{ModeAccounts, "", true, false, false},
		{ModeAccounts, testSecret, true, true, false},
		{ModeJWT, testSecret, false, true, false},
		{ModeNone, "", false, false, true},
	} {
		d := newDesk(t, c.mode, c.secret)
		check := func(what, token string, want bool) {
			if _, err := d.Authenticate(t.Context(), token); (err == nil) != want {
				t.Errorf("%s, secret %t: %s: %v", c.mode, c.secret != "", what, err)
			}
		}
		check("session", d.session(t, "ada", time.Hour)+"", c.session || c.mode == ModeNone)
		check("jwt", d.jwt("ada", time.Hour), c.jwt)
		check("user id", "ada", c.bare)
		check("bad user id", "a/../b", false)
	}
}

func TestModeNoneMakesItsUsers(t *testing.T) {
	d := newDesk(t, ModeNone, "")
	id := must(d.Authenticate(t.Context(), "ada"))
	if id != (Identity{Actor: model.UserActor("ada"), Name: "ada"}) {
		t.Fatalf("identity %+v", id)
	}
	if d.store.accounts["ada"].IsAdmin || !d.store.accounts["ada"].IsActive {
		t.Fatal("user as made")
	}
}

func TestAnEmailThatIsSomebodyElsesIsLeftOut(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	d.store.accounts["root"] = model.Account{
		User: chat.User{ID: "root", Email: ptr("Root@example.org"), IsActive: true, IsAdmin: true},
	}
	token := sign(t, map[string]any{
		"sub": "eve", "email": "root@example.org", "email_verified": true, "exp": d.clock.now().Add(time.Hour).Unix(),
	})
	id := must(d.Authenticate(t.Context(), token))
	if u := d.store.accounts["eve"]; id.User != "eve" || id.Admin || u.Email != nil || u.IsVerified {
		t.Fatalf("%+v, %+v", id, u)
	}
}

func TestRecheckAsksTheStore(t *testing.T) {
	d := newDesk(t, ModeAccounts, testSecret)
	session, token := d.session(t, "ada", time.Hour), d.jwt("bob", time.Hour)
	ids := []Identity{must(d.Authenticate(t.Context(), session)), must(d.Authenticate(t.Context(), token))}
	for _, id := range ids {
		if err := d.Recheck(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	// Another node closes them; this one has not heard.
	must(d.store.SetActive(t.Context(), "ada", false))
	must(d.store.SetActive(t.Context(), "bob", false))
	for _, id := range ids {
		wantCode(t, d.Recheck(t.Context(), id), chat.Unauthorized)
	}
	d.store.broken = errors.New("no connection")
	if err := d.Recheck(t.Context(), ids[0]); err == nil || isCode(err, chat.Unauthorized) {
		t.Fatalf("trouble: %v", err)
	}
}
