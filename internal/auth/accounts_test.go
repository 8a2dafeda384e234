package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
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
