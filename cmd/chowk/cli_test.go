package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/model"
)

// leakChecked fails when a goroutine outlives the tests.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	code := m.M.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"chowk": main})
}

// TestScripts: the scripts in testdata show the command line as people see it. After a
// wanted change of a help text: UPDATE=1 go test ./cmd/chowk
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE") != ""})
}

const testSecret = "5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"

// records is the part of a store that commands use.
type records struct {
	auth.Store
	accounts map[chat.UserID]model.Account
	logins   []model.Login
	tickets  []model.Ticket
	broken   error
	closed   int
}

func (r *records) Account(_ context.Context, id chat.UserID) (*model.Account, error) {
	if a, ok := r.accounts[id]; ok || r.broken != nil {
		return &a, r.broken
	}
	return nil, chat.Errorf(chat.NotFound, "Not found")
}

func (r *records) AccountByEmail(_ context.Context, email string) (*model.Account, error) {
	for _, a := range r.accounts {
		if a.Email != nil && strings.EqualFold(*a.Email, email) {
			return &a, r.broken
		}
	}
	return nil, chat.Errorf(chat.NotFound, "Not found")
}

func (r *records) EnsureUser(_ context.Context, u chat.User) (chat.User, error) {
	r.accounts[u.ID] = model.Account{User: u}
	return u, nil
}

func (r *records) OpenSession(_ context.Context, l model.Login) error {
	r.logins = append(r.logins, l)
	return nil
}

func (r *records) AddTicket(_ context.Context, t model.Ticket) error {
	r.tickets = append(r.tickets, t)
	return nil
}

func newRecords() *records {
	email := "ada@example.org"
	return &records{accounts: map[chat.UserID]model.Account{
		"u-ada": {User: chat.User{ID: "u-ada", Email: &email, IsActive: true}, PasswordHash: "x"},
		"off":   {User: chat.User{ID: "off"}},
	}}
}

// call runs one command over records.
func call(t *testing.T, r *records, environ []string, args ...string) (code int, out, errOut string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	code = invocation{
		args: args, environ: environ, out: &stdout, err: &stderr,
		serve: func(context.Context, *config, *slog.Logger) error { return nil },
		openStore: func(context.Context, *config) (auth.Store, func() error, error) {
			return r, func() error { r.closed++; return nil }, nil
		},
	}.run(t.Context())
	return code, stdout.String(), stderr.String()
}

// mustCall runs one command that must succeed, and returns what it prints.
func mustCall(t *testing.T, r *records, environ []string, args ...string) (line string) {
	t.Helper()
	code, out, errOut := call(t, r, environ, args...)
	if code != exitOK || errOut != "" {
		t.Fatalf("%v: exit code %d, %s", args, code, errOut)
	}
	return strings.TrimSpace(out)
}

// mustFail runs one command that must fail with an error, and print nothing else.
func mustFail(t *testing.T, r *records, want string, args ...string) {
	t.Helper()
	code, out, errOut := call(t, r, nil, args...)
	if code != exitFailed || out != "" || errOut != "chowk: "+want+"\n" {
		t.Errorf("%v: exit code %d, %q and %q, want the error %q", args, code, out, errOut, want)
	}
}

func TestTokenIsALogInOfAUserWhoExists(t *testing.T) {
	for _, user := range []string{"u-ada", "Ada@example.org"} {
		r := newRecords()
		token := mustCall(t, r, nil, "token", "--user", user, "--ttl", "2h")
		if len(r.logins) != 1 || r.closed != 1 {
			t.Fatalf("%s: %d log-ins, and the database was closed %d times", user, len(r.logins), r.closed)
		}
		got := r.logins[0]
		want := model.Login{Hash: auth.HashToken(token), UserID: "u-ada", CreatedAt: got.CreatedAt}
		want.ExpiresAt = chat.TimeOf(got.CreatedAt.Std().Add(2 * time.Hour))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", user, diff)
		}
	}
}

func TestTokenIsAJWTWithASecret(t *testing.T) {
	environ := []string{
		"CHOWK_AUTH_JWT_SECRET=" + testSecret, "CHOWK_AUTH_JWT_ISSUER=host", "CHOWK_AUTH_JWT_AUDIENCE=chowk",
	}
	for _, mode := range []string{"accounts", "jwt"} {
		r := newRecords()
		token := mustCall(t, r, environ, "token", "--user", "bot", "--auth", mode)
		if r.closed != 0 {
			t.Errorf("%s: the database was opened", mode)
		}
		options := auth.VerifierOptions{Secret: testSecret, Issuer: "host", Audience: "chowk"}
		v, err := auth.NewVerifier(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		u, expires, err := v.Verify(t.Context(), token)
		if left := time.Until(expires.Std()); err != nil || u.ID != "bot" || left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("%s: a token of %s for %s (%v), want one of bot for a day", mode, u.ID, left, err)
		}
	}
}

func TestTokenCreatesUsersOnlyOnRequest(t *testing.T) {
	r := newRecords()
	mustFail(t, r, "there is no user bot; pass --create to create it", "token", "--user", "bot")
	mustCall(t, r, nil, "token", "--user", "bot", "--create")
	if r.accounts["bot"].Name != "bot" {
		t.Errorf("the new user is %+v", r.accounts["bot"])
	}
}

func TestTokenRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"off is disabled": {"--user", "off"},
		`--user must be an email, or 1 to 64 of the characters A-Z a-z 0-9 _ . : -, not "a/b"`: {"--user", "a/b"},
		"--ttl must be longer than 0s and at most 87600h0m0s, not -1h0m0s": {
			"--user", "u-ada", "--ttl=-1h",
		},
		"--create needs a user id; an account with an email is created by signing up": {
			"--user", "x@example.org", "--create",
		},
		"with auth=none a token is a user id, and an email is not a user id": {
			"--user", "x@example.org", "--auth", "none",
		},
		"this server checks tokens with a public key; only the application that has the private key can create one": {
			"--user", "u-ada", "--auth", "jwt", "--auth.jwt-key-file", "k.pem",
		},
	} {
		mustFail(t, newRecords(), want, append([]string{"token"}, args...)...)
	}
	r := newRecords()
	r.broken = errors.New("connection refused")
	mustFail(t, r, "look up user: connection refused", "token", "--user", "u-ada")
	if r.closed != 1 {
		t.Errorf("the database was closed %d times, want once", r.closed)
	}
}

func TestResetLink(t *testing.T) {
	r := newRecords()
	line := mustCall(t, r, nil, "reset-link", "--user", "ADA@example.org", "--public-url", "https://chat.example.org")
	link, secret, _ := strings.Cut(line, "=")
	if link != "https://chat.example.org/#reset" || len(r.tickets) != 1 {
		t.Fatalf("got %s and %d tickets, want a link to reset a password and one ticket", line, len(r.tickets))
	}
	got := r.tickets[0]
	want := model.Ticket{
		Hash: auth.HashToken(secret), Purpose: model.TicketResetPassword, UserID: "u-ada", Uses: 1,
		CreatedAt: got.CreatedAt, ExpiresAt: got.ExpiresAt,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mustFail(t, r, "No account has the email nobody@example.org", "reset-link", "--user", "nobody@example.org")
	mustFail(t, r, "this server has no accounts of its own: auth is none",
		"reset-link", "--user", "a@example.org", "--auth", "none")
}

func TestInvite(t *testing.T) {
	r := newRecords()
	link := mustCall(t, r, nil, "invite", "--uses", "3", "--by", "ada@example.org", "--listen", ":9000")
	_, secret, _ := strings.Cut(link, "=")
	if link != "http://localhost:9000/#invite="+secret || len(r.tickets) != 1 {
		t.Fatalf("got %s and %d tickets, want a link to join and one ticket", link, len(r.tickets))
	}
	got := r.tickets[0]
	want := model.Ticket{
		Hash: auth.HashToken(secret), Purpose: model.TicketInvitation, UserID: "u-ada", Uses: 3,
		CreatedAt: got.CreatedAt, ExpiresAt: chat.TimeOf(got.CreatedAt.Std().Add(7 * 24 * time.Hour)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	mustFail(t, r, "--by: no account has the email nobody@example.org", "invite", "--by", "nobody@example.org")
	for _, args := range [][]string{{"invite", "--auth.signup", "closed"}, {"invite", "--uses", "0x"}} {
		if code, out, _ := call(t, newRecords(), nil, args...); code == exitOK || out != "" {
			t.Errorf("%v: exit code %d and %q, want a refusal", args, code, out)
		}
	}
}

func TestServeGetsTheSettingsAndALogger(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	var got config
	args := []string{"serve", "--pool.size=7", "--listen", ":8080", "--auth.jwt-secret", testSecret}
	code := invocation{
		args: args, out: &stderr, err: &stderr,
		serve: func(_ context.Context, cfg *config, log *slog.Logger) error {
			got = *cfg
			log.Info("hello")
			return errors.New("listen: address in use")
		},
	}.run(t.Context())
	if code != exitFailed || got.Pool.Size != 7 || got.Auth.JWTSecret != testSecret {
		t.Errorf("exit code %d, a pool of %d, and the secret %q", code, got.Pool.Size, got.Auth.JWTSecret)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != 3 || lines[2] != "chowk: listen: address in use" {
		t.Fatalf("got %q, want three lines, the last of them the error", lines)
	}
	for i, want := range []string{"every user of this machine can read", "hello"} {
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(lines[i]), &entry); err != nil || !strings.Contains(entry.Msg, want) {
			t.Errorf("line %d is %s (%v), want %s", i, lines[i], err, want)
		}
	}
	if strings.Contains(stderr.String(), testSecret) {
		t.Error("the log holds the secret")
	}
}

func TestLoggerFormats(t *testing.T) {
	for _, c := range []struct{ format, level, want string }{
		{"auto", "info", `{"`},
		{"json", "info", `{"`},
		{"text", "info", `time=`},
		{"text", "warn", ``},
	} {
		var b bytes.Buffer
		newLogger(&b, c.format, c.level).Info("x")
		if !strings.HasPrefix(b.String(), c.want) || (c.want == "") != (b.Len() == 0) {
			t.Errorf("%s at level %s: got %q, want %q…", c.format, c.level, b.String(), c.want)
		}
	}
}

func TestDurationsAreLoggedInSecondsWithTheirUnit(t *testing.T) {
	for format, want := range map[string]string{
		"json": `"window_s":5,"took_s":0.001235,"sockets":3}`,
		"text": `window_s=5 took_s=0.001235 sockets=3`,
	} {
		var b bytes.Buffer
		log := newLogger(&b, format, "info")
		log.Info("draining", "window", 5*time.Second, "took", 1234567*time.Nanosecond, "sockets", 3)
		if line := strings.TrimSpace(b.String()); !strings.HasSuffix(line, want) {
			t.Errorf("%s: got %s, want …%s", format, line, want)
		}
	}
}
