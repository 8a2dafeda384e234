package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// TestLogsContainNoSecrets sends every kind of secret to a server with log level
// debug, in valid and invalid requests.
func TestLogsContainNoSecrets(t *testing.T) {
	pg := pgtest.Start(t)
	const dsnPassword = "dsn-hUsh-9a8b7c"
	if err := pg.Exec("postgres", "ALTER ROLE chowk PASSWORD '"+dsnPassword+"'"); err != nil {
		t.Fatal(err)
	}
	database, err := url.Parse(pg.URL())
	if err != nil {
		t.Fatal(err)
	}
	database.User = url.UserPassword("chowk", dsnPassword)
	const jwtSecret = "5Qm9zX2vT7yK1wRb8NcE4uHj6LpD3sGa0FiV"
	const smtpPassword = "smtp-hUsh-1f2e3d"
	address := testkit.FreeAddress(t)
	s := serve(t, "listen="+address, "public-url=http://"+address, "database-url="+database.String(), "auth=accounts",
		"auth.jwt-secret="+jwtSecret, "log.level=debug",
		"mail.smtp-url=smtp://mailer:"+smtpPassword+"@127.0.0.1:1", "mail.from=chat@example.org")
	const password, wrong = "Correct-hUsh-battery-7", "Wrong-hUsh-staple-8"
	signup := s.request(http.MethodPost, "/auth/signup", "", map[string]any{
		"email": "ada@example.org", "password": password, "name": "Ada", "full_name": "Ada",
	})
	if signup.status/100 != 2 {
		t.Fatalf("sign up: %d %s", signup.status, signup.body)
	}
	s.request(http.MethodPost, "/auth/login", "", map[string]any{"email": "ada@example.org", "password": wrong})
	login := s.must(http.StatusOK, http.MethodPost, "/auth/login", "", map[string]any{
		"email": "ada@example.org", "password": password,
	})
	token := login.field(t, "access_token")
	if len(token) < 20 {
		t.Fatalf("no token: %s", login.body)
	}
	out, err := command(t, "token", "--user", "bot", "--auth=jwt", "--auth.jwt-secret="+jwtSecret).Output()
	if err != nil {
		t.Fatal(err)
	}
	jwt := strings.TrimSpace(string(out))
	const garbage = "chowk_hUsh-not-a-token-at-all-0000000000000000000000"

	c, _, err := s.tryDial("/ws", token, chat.Protocol)
	if err != nil {
		t.Fatal(err)
	}
	c.askInvalid("new_message", map[string]any{"channel_id": token})
	for _, attempt := range [][]string{
		{"/ws", "", "Cookie", "access_token=" + token},
		{"/ws?access_token=" + token, "", "X", "y"},
		{"/ws?access_token=" + garbage, "", "X", "y"},
		{"/ws", garbage, "Origin", "https://evil.example"},
		{"/ws", jwt, "X", "y"},
	} {
		_, _, _ = s.tryDial(attempt[0], attempt[1], chat.Protocol, attempt[2], attempt[3])
	}
	_, _, _ = s.tryDial("/ws", "", chat.Protocol+",bearer."+token)
	for _, r := range [][2]string{
		{"/channels/", token},
		{"/channels/", garbage},
		{"/channels/?access_token=" + token, ""},
		{"/channels/%00" + token, token},
	} {
		s.request(http.MethodGet, r[0], r[1], nil)
	}
	s.request(http.MethodPost, "/auth/password-reset-request", "", map[string]any{"email": "ada@example.org"})
	s.request(http.MethodPost, "/auth/password-reset-confirm", "", map[string]any{
		"token": garbage, "new_password": wrong, "password": wrong,
	})
	pg.Stop() // database errors are logged
	s.request(http.MethodGet, "/channels/", token, nil)
	fetch(t, s.url+"/readyz")
	pg.Start()
	s.stop()

	log := s.Log.Text()
	if !strings.Contains(log, "user connected") {
		t.Fatalf("no user connected:\n%s", log)
	}
	for what, secret := range map[string]string{
		"the database's password": dsnPassword, "the JWT secret": jwtSecret, "the mail server's password": smtpPassword,
		"a password": password, "a wrong password": wrong, "a token": token,
		"the secret part of a token": strings.TrimPrefix(token, "chowk_"),
		"a JWT":                      jwt, "a JWT's signature": jwt[strings.LastIndexByte(jwt, '.')+1:],
		"a bad token": garbage, "a cookie": "access_token=",
		"any marked text": "hUsh",
	} {
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("the log contains %s:\n%s", what, log[max(0, i-200):min(len(log), i+200)])
		}
	}
	// A failed start reports the reason without the password.
	failed := command(t, "serve", "--auth=none", "--listen=127.0.0.1:0", "--ops.listen=off",
		"--database-url=postgres://chowk:"+dsnPassword+"@127.0.0.1:1/x")
	if out, err := failed.CombinedOutput(); err == nil || strings.Contains(string(out), dsnPassword) {
		t.Errorf("a failed start: %v, or the password in its output: %s", err, out)
	}
}

// TestLogHasOneLinePerSocketAndNonePerMessage checks also that the line has the fields
// that operators search for.
func TestLogHasOneLinePerSocketAndNonePerMessage(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	id := s.channel("ada", "bob")
	ada := s.dial("ada")
	s.Log.Await(t, `"user connected"`, `"ada"`)
	before := strings.Count(s.Log.Text(), "\n")
	for range 100 {
		ada.send(id, "x")
	}
	if after := strings.Count(s.Log.Text(), "\n"); after != before {
		t.Errorf("100 messages added %d lines to the log", after-before)
	}
	_ = ada.conn.CloseNow()
	line := s.Log.Await(t, `"user disconnected"`, `"ada"`)
	for _, field := range []string{"user", "connection", "reason", "events", "open_for_s", "total_connections"} {
		if line[field] == nil {
			t.Errorf("the line has no %s: %v", field, line)
		}
	}
	if line["events"] != 100.0 {
		t.Errorf("the line has %v events, want 100", line["events"])
	}
}
