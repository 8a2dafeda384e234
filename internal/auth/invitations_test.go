package auth

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

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
