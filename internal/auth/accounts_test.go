package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

var home = netip.MustParseAddr("192.0.2.1")

// office is Accounts over a fake store, with what they mail and log.
type office struct {
	*Accounts
	d    *desk
	mail *mailbox
	log  *bytes.Buffer
}

type mailbox struct {
	mu   sync.Mutex // guards what follows
	sent []Mail
	fail error
}

func (m *mailbox) Send(ctx context.Context, mail Mail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.sent = append(m.sent, mail)
	return m.fail
}

func newOffice(t *testing.T, signup Signup, withMail bool) *office {
	t.Helper()
	o := &office{d: newDesk(t, ModeAccounts, ""), mail: new(mailbox), log: new(bytes.Buffer)}
	options := AccountsOptions{
		Store: o.d.store, Auth: o.d.Authenticator, Signup: signup, SessionTTL: time.Hour,
		PublicURL: "https://chat.example.org", Now: o.d.clock.now,
		Log: slog.New(slog.NewJSONHandler(o.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if withMail {
		options.Mail = o.mail
	}
	o.Accounts = NewAccounts(options)
	o.hasher.params = argonParams{memory: 8, time: 1, threads: 1}
	o.hasher.wait = time.Minute
	return o
}

// post sends what waits, as Run does, and returns the links in it.
func (o *office) post(t *testing.T) (links []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	o.Run(ctx)
	for _, m := range o.mail.sent {
		_, rest, _ := strings.Cut(m.Text, "https://")
		link, _, _ := strings.Cut(rest, "\n")
		links = append(links, "https://"+link)
	}
	o.mail.sent = nil
	return links
}

func (o *office) join(t *testing.T, email string) *TokenResponse {
	t.Helper()
	return must(o.SignUp(t.Context(), SignupRequest{Email: email, Password: "Correct1"}, home))
}

func (o *office) identity(t *testing.T, token string) Identity {
	t.Helper()
	return must(o.d.Authenticate(t.Context(), token))
}

func secretOf(link string) string { _, s, _ := strings.Cut(link, "="); return s }

func TestSignUpThenLogIn(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	first := must(o.SignUp(t.Context(), SignupRequest{
		Email: " Ada@Example.org ", Password: "Correct1", FirstName: ptr("Ada"), LastName: ptr(" Lovelace\n"), Phone: ptr(""),
		Role: "tutor",
	}, home))
	u := first.User
	if !strings.HasPrefix(first.AccessToken, "chowk_") || first.TokenType != "bearer" || first.ExpiresIn != 3600 ||
		*u.Email != "Ada@Example.org" || *u.FirstName != "Ada" || *u.LastName != "Lovelace" || u.Phone != nil ||
		u.Role != "tutor" || !u.IsActive || u.IsVerified || u.Name != "Ada Lovelace" ||
		u.CreatedAt != chat.TimeOf(o.d.clock.now()) {
		t.Fatalf("%+v", first)
	}
	if id, err := chat.ParseID(string(u.ID)); err != nil || id.Version() != 7 {
		t.Errorf("id %s", u.ID)
	}
	if !o.identity(t, first.AccessToken).Admin {
		t.Error("the first is no administrator")
	}
	second := o.join(t, "bob@example.org")
	if id := o.identity(t, second.AccessToken); id.Admin || id.Name != "bob" || second.User.Role != "student" {
		t.Errorf("the second: %+v", id)
	}
	again := must(o.Login(t.Context(), LoginRequest{Email: "ada@example.ORG", Password: "Correct1"}, home))
	if again.AccessToken == first.AccessToken || again.User.ID != u.ID {
		t.Error("log-in")
	}
	me := must(o.Me(t.Context(), o.identity(t, again.AccessToken)))
	if me.ID != u.ID || !me.IsAdmin {
		t.Errorf("%+v", me)
	}
}

func TestTokenResponseHasTheOldShape(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	r := o.join(t, "ada@example.org")
	r.AccessToken, r.User.ID = "T", "U"
	got := string(must(json.Marshal(r)))
	want := `{"access_token":"T","token_type":"bearer","expires_in":3600,"user":{"id":"U","email":"ada@example.org",` +
		`"first_name":null,"last_name":null,"phone":null,"avatar_url":null,"role":"student","is_active":true,` +
		`"is_verified":false,"created_at":"2026-03-01T12:00:00.000000Z","name":"ada","is_admin":true}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSignUpRefusals(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	o.join(t, "ada@example.org")
	for _, c := range []struct {
		name string
		r    SignupRequest
		code chat.Code
		says string
	}{
		{
			"taken, other case",
			SignupRequest{Email: "ADA@example.org", Password: "Correct1"},
			chat.Conflict,
			"Email already registered",
		},
		{"no email", SignupRequest{Password: "Correct1"}, chat.BadRequest, "This is not a valid email address"},
		{
			"display name",
			SignupRequest{Email: "Eve <eve@example.org>", Password: "Correct1"},
			chat.BadRequest,
			"This is not a valid email address",
		},
		{
			"header injection",
			SignupRequest{Email: "eve@example.org\r\nBcc: all@example.org", Password: "Correct1"},
			chat.BadRequest, "This is not a valid email address",
		},
		{
			"long email",
			SignupRequest{Email: strings.Repeat("e", 250) + "@example.org", Password: "Correct1"},
			chat.BadRequest,
			"This is not a valid email address",
		},
		{
			"weak",
			SignupRequest{Email: "eve@example.org", Password: "password"},
			chat.BadRequest,
			"Password must contain at least one uppercase letter",
		},
		{
			"role",
			SignupRequest{Email: "eve@example.org", Password: "Correct1", Role: "admin"},
			chat.BadRequest,
			"role must be student or tutor",
		},
	} {
		_, err := o.SignUp(t.Context(), c.r, home)
		if !isCode(err, c.code) || err.Error() != c.says {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestSignUpByInvitation(t *testing.T) {
	o := newOffice(t, SignupInvite, false)
	admin := o.identity(t, o.join(t, "ada@example.org").AccessToken) // the first needs none
	try := func(email, invitation string) error {
		_, err := o.SignUp(t.Context(), SignupRequest{Email: email, Password: "Correct1", Invitation: invitation}, home)
		return err
	}
	wantCode(t, try("eve@example.org", ""), chat.Forbidden)
	wantCode(t, try("eve@example.org", "made-up"), chat.Forbidden)
	link := must(o.Invite(t.Context(), admin, InviteRequest{}))
	if link.Link != "https://chat.example.org/#invite="+link.Token {
		t.Errorf("link %s", link.Link)
	}
	if err := try("bob@example.org", link.Token); err != nil {
		t.Fatal(err)
	}
	wantCode(t, try("eve@example.org", link.Token), chat.Forbidden) // it was for one
	two := must(o.Invite(t.Context(), admin, InviteRequest{Uses: 2, ExpiresIn: 60}))
	if err := try("carol@example.org", two.Token); err != nil {
		t.Fatal(err)
	}
	o.d.clock.advance(time.Minute)
	wantCode(t, try("dave@example.org", two.Token), chat.Forbidden) // too late

	bob := must(o.Login(t.Context(), LoginRequest{Email: "bob@example.org", Password: "Correct1"}, home))
	_, err := o.Invite(t.Context(), o.identity(t, bob.AccessToken), InviteRequest{})
	wantCode(t, err, chat.Forbidden)
	for _, r := range []InviteRequest{
		{Uses: -1}, {Uses: 1001}, {ExpiresIn: 1}, {ExpiresIn: 91 * 24 * 3600}, {Email: "x"},
	} {
		_, err := o.Invite(t.Context(), admin, r)
		wantCode(t, err, chat.BadRequest)
	}
}

func TestClosedSignUpTakesTheFirstOnly(t *testing.T) {
	o := newOffice(t, SignupClosed, false)
	admin := o.identity(t, o.join(t, "ada@example.org").AccessToken)
	_, err := o.SignUp(t.Context(), SignupRequest{Email: "eve@example.org", Password: "Correct1"}, home)
	wantCode(t, err, chat.Forbidden)
	_, err = o.Invite(t.Context(), admin, InviteRequest{})
	wantCode(t, err, chat.Forbidden)
	if c := o.Config(); c != (ConfigResponse{ModeAccounts, SignupClosed}) {
		t.Errorf("%+v", c)
	}
}

func TestOnlyAccountsModeHasAccounts(t *testing.T) {
	for _, mode := range []Mode{ModeJWT, ModeNone} {
		store := newFakeStore()
		a := NewAccounts(AccountsOptions{Store: store, Auth: New(Options{Mode: mode, Store: store}), Signup: SignupOpen})
		if c := a.Config(); c != (ConfigResponse{mode, SignupClosed}) {
			t.Errorf("%+v", c)
		}
		ctx := t.Context()
		_, err1 := a.SignUp(ctx, SignupRequest{Email: "a@example.org", Password: "Correct1"}, home)
		_, err2 := a.Login(ctx, LoginRequest{Email: "a@example.org", Password: "Correct1"}, home)
		_, err3 := a.RequestPasswordReset(ctx, PasswordResetRequest{Email: "a@example.org"}, home)
		_, err4 := a.ConfirmPasswordReset(ctx, PasswordResetConfirm{Token: "x", NewPassword: "Correct1"}, home)
		_, err5 := a.VerifyEmail(ctx, VerifyEmailRequest{Token: "x"}, home)
		_, err6 := a.ChangePassword(ctx, Identity{
			Actor: model.UserActor("a"),
		}, ChangePasswordRequest{NewPassword: "Correct1"})
		_, err7 := a.Invite(ctx, Identity{Actor: model.UserActor("a"), Admin: true}, InviteRequest{})
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
			wantCode(t, err, chat.Forbidden)
		}
		if store.total() != 0 {
			t.Error("the store was asked")
		}
	}
}

func TestLogInTellsNothingAboutAccounts(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	o.join(t, "ada@example.org")
	o.d.store.accounts["host"] = model.Account{User: chat.User{ID: "host", Email: ptr("host@example.org"), IsActive: true}}
	for _, r := range []LoginRequest{
		{"ada@example.org", "Wrong-one1"},
		{"nobody@example.org", "Correct1"},
		{"host@example.org", ""},
		{"not an email", "Correct1"},
		{"ada@example.org", strings.Repeat("x", 1<<20)},
		{"", ""},
	} {
		_, err := o.Login(t.Context(), r, home)
		if !isCode(err, chat.Unauthorized) || err.Error() != "Invalid email or password" {
			t.Errorf("%.20s: %v", r.Email, err)
		}
	}
	if n := o.d.store.count("AccountByEmail"); n != 3 {
		t.Errorf("%d look-ups: no password is that long, and no account has such an email", n)
	}
}

func TestADisabledAccountIsToldSoOnlyWithThePassword(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	admin := o.identity(t, o.join(t, "ada@example.org").AccessToken)
	bob := o.join(t, "bob@example.org").User.ID
	if err := o.SetActive(t.Context(), admin, bob, false); err != nil {
		t.Fatal(err)
	}
	_, err := o.Login(t.Context(), LoginRequest{"bob@example.org", "Correct1"}, home)
	if !isCode(err, chat.Forbidden) || err.Error() != "Account is inactive" {
		t.Error(err)
	}
	_, err = o.Login(t.Context(), LoginRequest{"bob@example.org", "Wrong-one1"}, home)
	wantCode(t, err, chat.Unauthorized)
	wantCode(t, o.SetActive(t.Context(), admin, admin.User, false), chat.Forbidden)
	wantCode(t, o.SetActive(t.Context(), Identity{Actor: model.UserActor(bob)}, admin.User, false), chat.Forbidden)
}

func TestGuessingIsSlowedByAddressAndAccount(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	o.join(t, "ada@example.org")
	guess := func(email string, from string) error {
		_, err := o.Login(t.Context(), LoginRequest{email, "Wrong-one1"}, netip.MustParseAddr(from))
		return err
	}
	for range 10 {
		wantCode(t, guess("ada@example.org", "203.0.113.9"), chat.Unauthorized)
	}
	err := guess("ADA@example.org", "203.0.113.9")
	wantCode(t, err, chat.RateLimited)
	if chat.AsError(err).RetryAfter <= 0 {
		t.Error("it does not say when")
	}
	// Not even the right password goes through, or the limit would be an oracle.
	_, err = o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, netip.MustParseAddr("203.0.113.9"))
	wantCode(t, err, chat.RateLimited)
	// The owner, elsewhere, is not locked out.
	must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
	// A right password wipes the slate: the owner may mistype again.
	for range 3 {
		for range 9 {
			_, err := o.Login(t.Context(), LoginRequest{"ada@example.org", "Wrong-one1"}, home)
			wantCode(t, err, chat.Unauthorized)
		}
		must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
	}
	// One address trying many accounts is slowed as well.
	var limited bool
	for i := range 200 {
		limited = limited || isCode(guess(strings.Repeat("x", i+1)+"@example.org", "203.0.113.9"), chat.RateLimited)
	}
	if !limited {
		t.Error("200 accounts from one address")
	}
	// Who logs in rightly again and again is not.
	for range 300 {
		must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
	}
}

func TestD07TroubleIsNotAWrongPasswordAndCostsNoAttempt(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	o.join(t, "ada@example.org")
	o.d.store.broken = errors.New("connection refused")
	for range 50 {
		_, err := o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home)
		if err == nil || isCode(err, chat.Unauthorized) || isCode(err, chat.RateLimited) {
			t.Fatal(err)
		}
	}
	o.d.store.broken = nil
	o.hasher.wait = 0
	turn := must(o.hasher.acquire(t.Context()))
	for len(o.hasher.slots) < cap(o.hasher.slots) {
		o.hasher.slots <- struct{}{}
	}
	for range 50 {
		_, err := o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home)
		wantCode(t, err, chat.Overloaded)
	}
	turn()
	must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
}

func TestAHashOfOldParametersIsRenewedAndNobodyIsLoggedOut(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	joined := o.join(t, "ada@example.org")
	before := o.d.store.accounts[joined.User.ID].PasswordHash
	o.hasher.params.time = 2
	_, err := o.Login(t.Context(), LoginRequest{"ada@example.org", "Wrong-one1"}, home)
	wantCode(t, err, chat.Unauthorized)
	if o.d.store.accounts[joined.User.ID].PasswordHash != before {
		t.Fatal("a wrong password renewed the hash")
	}
	must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
	after := o.d.store.accounts[joined.User.ID].PasswordHash
	if after == before || !strings.Contains(after, "t=2") {
		t.Fatalf("%s, then %s", before, after)
	}
	o.identity(t, joined.AccessToken)
	must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home))
	if o.d.store.count("ReplaceHash") != 1 {
		t.Error("renewed twice")
	}
}

func TestChangingThePasswordEndsTheOtherSessions(t *testing.T) {
	o := newOffice(t, SignupOpen, false)
	here := o.join(t, "ada@example.org").AccessToken
	there := must(o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home)).AccessToken
	id := o.identity(t, here)
	o.identity(t, there)
	_, err := o.ChangePassword(t.Context(), id, ChangePasswordRequest{"Wrong-one1", "Better22"})
	wantCode(t, err, chat.BadRequest) // not 401, which would make the page throw its token away
	_, err = o.ChangePassword(t.Context(), id, ChangePasswordRequest{"Correct1", "weak"})
	wantCode(t, err, chat.BadRequest)
	must(o.ChangePassword(t.Context(), id, ChangePasswordRequest{"Correct1", "Better22"}))
	o.identity(t, here)
	_, err = o.d.Authenticate(t.Context(), there)
	wantCode(t, err, chat.Unauthorized)
	_, err = o.Login(t.Context(), LoginRequest{"ada@example.org", "Correct1"}, home)
	wantCode(t, err, chat.Unauthorized)
	for range 10 {
		_, err = o.ChangePassword(t.Context(), id, ChangePasswordRequest{"Wrong-one1", "Better22"})
		wantCode(t, err, chat.BadRequest)
	}
	_, err = o.ChangePassword(t.Context(), id, ChangePasswordRequest{"Better22", "Better33"})
	wantCode(t, err, chat.RateLimited)
}
