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

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/model"
)

// leakChecked looks for goroutines that outlive the tests.
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

// The scripts in testdata show the command line as people see it. After a wanted
// change of a help text: UPDATE=1 go test ./cmd/chowk
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", UpdateScripts: os.Getenv("UPDATE") != ""})
}

const testSecret = "5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"

// records is the part of a store that commands use.
type records struct {
	auth.Store
	accounts map[chat.UserID]model.Account
	sessions []model.Login
	tickets  []model.Ticket
	broken   error
	closed   int
}

func (b *records) Account(_ context.Context, id chat.UserID) (*model.Account, error) {
	if a, ok := b.accounts[id]; ok || b.broken != nil {
		return &a, b.broken
	}
	return nil, chat.Errorf(chat.NotFound, "Not found")
}

func (b *records) AccountByEmail(_ context.Context, email string) (*model.Account, error) {
	for _, a := range b.accounts {
		if a.Email != nil && strings.EqualFold(*a.Email, email) {
			return &a, b.broken
		}
	}
	return nil, chat.Errorf(chat.NotFound, "Not found")
}

func (b *records) EnsureUser(_ context.Context, u chat.User) (chat.User, error) {
	b.accounts[u.ID] = model.Account{User: u}
	return u, nil
}

func (b *records) OpenSession(_ context.Context, s model.Login) error {
	b.sessions = append(b.sessions, s)
	return nil
}

func (b *records) AddTicket(_ context.Context, t model.Ticket) error {
	b.tickets = append(b.tickets, t)
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
func call(t *testing.T, b *records, environ []string, args ...string) (code int, out, errOut string) {
	t.Helper()
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	code = invocation{
		args: args, environ: environ, out: &stdout, err: &stderr,
		serve: func(context.Context, *config, *slog.Logger) error { return nil },
		openStore: func(context.Context, *config) (auth.Store, func() error, error) {
			return b, func() error { b.closed++; return nil }, nil
		},
	}.run(t.Context())
	return code, stdout.String(), stderr.String()
}

func TestTokenIsASessionOfAUserWhoExists(t *testing.T) {
	for _, user := range []string{"u-ada", "Ada@example.org"} {
		b := newRecords()
		code, out, errOut := call(t, b, nil, "token", "--user", user, "--ttl", "2h")
		token := strings.TrimSpace(out)
		if code != 0 || errOut != "" || len(b.sessions) != 1 || b.closed != 1 {
			t.Fatalf("%s: %d, %s, %d sessions, closed %d", user, code, errOut, len(b.sessions), b.closed)
		}
		s := b.sessions[0]
		if s.UserID != "u-ada" || s.Hash != auth.HashToken(token) || s.ExpiresAt.Std().Sub(s.CreatedAt.Std()) != 2*time.Hour {
			t.Errorf("%+v", s)
		}
	}
}

func TestTokenIsAJWTWithASecret(t *testing.T) {
	environ := []string{"CHOWK_AUTH_JWT_SECRET=" + testSecret, "CHOWK_AUTH_JWT_ISSUER=host", "CHOWK_AUTH_JWT_AUDIENCE=chowk"}
	for _, mode := range []string{"accounts", "jwt"} {
		b := newRecords()
		code, out, errOut := call(t, b, environ, "token", "--user", "bot", "--auth", mode)
		if code != 0 || b.closed != 0 {
			t.Fatalf("%d %s; the database was opened %d times", code, errOut, b.closed)
		}
		v, err := auth.NewVerifier(t.Context(), auth.VerifierOptions{Secret: testSecret, Issuer: "host", Audience: "chowk"})
		if err != nil {
			t.Fatal(err)
		}
		u, expires, err := v.Verify(t.Context(), strings.TrimSpace(out))
		if left := time.Until(expires.Std()); err != nil || u.ID != "bot" || left < 23*time.Hour || left > 25*time.Hour {
			t.Errorf("%s, %s, %v", u.ID, left, err)
		}
		if _, _, err := jwt.NewParser().ParseUnverified(strings.TrimSpace(out), jwt.MapClaims{}); err != nil {
			t.Error(err)
		}
	}
}

func TestTokenCreatesOnlyWhenAsked(t *testing.T) {
	b := newRecords()
	code, out, errOut := call(t, b, nil, "token", "--user", "bot")
	if code != exitFailed || out != "" || errOut != "chowk: there is no user bot; pass --create to create it\n" {
		t.Errorf("%d %q %q", code, out, errOut)
	}
	if code, _, errOut := call(t, b, nil, "token", "--user", "bot", "--create"); code != 0 || b.accounts["bot"].Name != "bot" {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestTokenRefusals(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
	}{
		{"off is disabled", []string{"--user", "off"}},
		{`--user must be an email, or 1 to 64 of the characters A-Z a-z 0-9 _ . : -, not "a/b"`, []string{"--user", "a/b"}},
		{"--ttl must be longer than 0s and at most 87600h0m0s, not -1h0m0s", []string{"--user", "u-ada", "--ttl=-1h"}},
		{"--create needs a user id; an account with an email is created by signing up", []string{"--user", "x@example.org", "--create"}},
		{"with auth=none a token is a user id, and an email is not a user id", []string{"--user", "x@example.org", "--auth", "none"}},
		{
			"this server checks tokens with a public key; only the application that has the private key can create one",
			[]string{"--user", "u-ada", "--auth", "jwt", "--auth.jwt-key-file", "k.pem"},
		},
	} {
		code, out, errOut := call(t, newRecords(), nil, append([]string{"token"}, c.args...)...)
		if code != exitFailed || out != "" || errOut != "chowk: "+c.says+"\n" {
			t.Errorf("%v: %d %q %q", c.args, code, out, errOut)
		}
	}
	b := newRecords()
	b.broken = errors.New("connection refused")
	if _, _, errOut := call(t, b, nil, "token", "--user", "u-ada"); errOut != "chowk: look up user: connection refused\n" || b.closed != 1 {
		t.Errorf("%q, closed %d", errOut, b.closed)
	}
}

func TestResetLinkAndInvite(t *testing.T) {
	b := newRecords()
	code, out, errOut := call(t, b, nil, "reset-link", "--user", "ADA@example.org", "--public-url", "https://chat.example.org")
	link, secret, _ := strings.Cut(strings.TrimSpace(out), "=")
	if code != 0 || link != "https://chat.example.org/#reset" || len(b.tickets) != 1 {
		t.Fatalf("%d %q %q", code, out, errOut)
	}
	if k := b.tickets[0]; k.UserID != "u-ada" || k.Hash != auth.HashToken(secret) || k.Purpose != model.TicketResetPassword || k.Email != "" || k.Uses != 1 {
		t.Errorf("%+v", k)
	}
	if _, _, errOut := call(t, b, nil, "reset-link", "--user", "nobody@example.org"); errOut != "chowk: No account has the email nobody@example.org\n" {
		t.Errorf("%q", errOut)
	}

	b = newRecords()
	code, out, errOut = call(t, b, nil, "invite", "--uses", "3", "--by", "ada@example.org", "--listen", ":9000")
	if code != 0 || !strings.HasPrefix(out, "http://localhost:9000/#invite=") {
		t.Fatalf("%d %q %q", code, out, errOut)
	}
	if k := b.tickets[0]; k.UserID != "u-ada" || k.Uses != 3 || k.Purpose != model.TicketInvitation || k.ExpiresAt.Std().Sub(k.CreatedAt.Std()) != 7*24*time.Hour {
		t.Errorf("%+v", k)
	}
	for _, args := range [][]string{{"invite", "--auth.signup", "closed"}, {"invite", "--uses", "0x"}, {"reset-link", "--user", "a@example.org", "--auth", "none"}} {
		if code, out, _ := call(t, newRecords(), nil, args...); code == 0 || out != "" {
			t.Errorf("%v: %d %q", args, code, out)
		}
	}
}

func TestServeGetsTheSettingsAndALogger(t *testing.T) {
	t.Chdir(t.TempDir())
	var stderr bytes.Buffer
	var got config
	code := invocation{
		args: []string{"serve", "--pool.size=7", "--listen", ":8080", "--auth.jwt-secret", testSecret}, out: &stderr, err: &stderr,
		serve: func(_ context.Context, cfg *config, log *slog.Logger) error {
			got = *cfg
			log.Info("hello")
			return errors.New("listen: address in use")
		},
	}.run(t.Context())
	if code != exitFailed || got.Pool.Size != 7 || got.Auth.JWTSecret != testSecret {
		t.Errorf("%d, %+v", code, got)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if len(lines) != 3 || lines[2] != "chowk: listen: address in use" {
		t.Fatalf("got %q, want three lines, the last of them the error", lines)
	}
	for i, want := range []string{"every user of this machine can read", "hello"} {
		var entry map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &entry); err != nil || !strings.Contains(entry["msg"].(string), want) {
			t.Errorf("%s: %v", lines[i], err)
		}
	}
	if strings.Contains(stderr.String(), testSecret) {
		t.Error("the secret was logged")
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
			t.Errorf("%+v: %s", c, b.String())
		}
	}
}

func TestDurationsAreLoggedInSecondsWithTheirUnit(t *testing.T) {
	for format, want := range map[string]string{
		"json": `"window_s":5,"took_s":0.001235,"sockets":3}`,
		"text": `window_s=5 took_s=0.001235 sockets=3`,
	} {
		var b bytes.Buffer
		newLogger(&b, format, "info").Info("draining", "window", 5*time.Second, "took", 1234567*time.Nanosecond, "sockets", 3)
		if line := strings.TrimSpace(b.String()); !strings.HasSuffix(line, want) {
			t.Errorf("%s: %s, want …%s", format, line, want)
		}
	}
}
