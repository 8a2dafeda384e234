package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// Rows of docs/defects.md about security.

// TestD51UserIDsAreNotDisclosed checks this for clients without a log-in, and for
// users who share no channel.
func TestD51UserIDsAreNotDisclosed(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database)
		ada, eve := s.signUp("ada@example.org", "Ada", "L"), s.signUp("eve@example.org", "Eve", "X")
		id := s.must(http.StatusCreated, http.MethodPost, "/channels/", ada.token, map[string]any{
			"name": "private", "is_private": true,
		}).field(t, "id")
		s.dialAs("/ws/"+ada.id, ada.token, chat.Protocol)
		for _, path := range []string{
			"/online-users", "/user/" + ada.id + "/status", "/channel/" + id + "/online-members", "/users?query=a",
			"/channels/" + id + "/members",
		} {
			s.must(http.StatusUnauthorized, http.MethodGet, path, "", nil)
			if path == "/users?query=a" {
				continue // any user who is logged in may read the directory
			}
			if r := s.request(http.MethodGet, path, eve.token, nil); strings.Contains(string(r.body), ada.id) {
				t.Errorf("%s discloses a user to a stranger: %s", path, r.body)
			}
		}
		if r := s.must(http.StatusOK, http.MethodGet, "/users?query=a", eve.token, nil); strings.Contains(
			string(r.body), "@",
		) {
			t.Errorf("the directory discloses email addresses: %s", r.body)
		}
	})
}

// TestD53SocketClosesWhenTokenEnds checks that a socket is closed when its token
// expires, its log-in ends, or its account is disabled.
func TestD53SocketClosesWhenTokenEnds(t *testing.T) {
	t.Parallel()
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		s := serve(t, "auth=jwt", "auth.jwt-secret="+secret)
		token := sign(
			t, jwt.SigningMethodHS256, []byte(secret),
			func(c jwt.MapClaims) { c["exp"] = time.Now().Add(3 * time.Second).Unix() },
		)
		// The year 2286: seconds that do not fit into 32 bits, as some issuers use them.
		lasting := s.dialAs(
			"/ws/bob",
			sign(t, jwt.SigningMethodHS256, []byte(secret), func(c jwt.MapClaims) { c["sub"], c["exp"] = "bob", 9999999999 }),
			chat.Protocol,
		)
		c := s.dialAs("/ws/ada", token, chat.Protocol)
		if f := c.expect("notice", nil); f.Code != string(chat.NoticeTokenExpiring) {
			t.Errorf("notice %s before the expiry, want token_expiring", f.raw)
		}
		if code := c.ended(); code != websocket.StatusCode(chat.CloseTokenExpired) {
			t.Errorf("closed with %v, want 4001", code)
		}
		lasting.ask("ping", nil)
		s.must(http.StatusUnauthorized, http.MethodGet, "/channels/", token, nil)
	})
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database)
		admin, ada := s.signUp("admin@example.org", "A", "B"), s.signUp("ada@example.org", "Ada", "L")
		leaves, stays := s.dialAs("/ws/"+admin.id, admin.token, chat.Protocol), s.dialAs("/ws", ada.token, chat.Protocol)
		again := s.must(http.StatusOK, http.MethodPost, "/auth/login", "", map[string]any{
			"email": "admin@example.org", "password": admin.password,
		}).field(t, "access_token")
		s.must(http.StatusNoContent, http.MethodPost, "/auth/logout", admin.token, nil)
		if code := leaves.ended(); code != websocket.StatusCode(chat.CloseTokenExpired) {
			t.Errorf("logged out: closed with %v, want 4001", code)
		}
		stays.ask("ping", nil)
		s.must(
			http.StatusNoContent, http.MethodPut, "/auth/users/"+ada.id+"/active", again, map[string]any{"is_active": false},
		)
		if code := stays.ended(); code != websocket.StatusCode(chat.CloseUserDisabled) {
			t.Errorf("disabled: closed with %v, want 4003", code)
		}
		s.must(http.StatusUnauthorized, http.MethodGet, "/channels/", ada.token, nil)
		if _, resp, err := s.tryDial("/ws", ada.token, chat.Protocol); err == nil ||
			resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("the token of a disabled account: %v, %v; want status 401", resp, err)
		}
	})
}

// TestD55DatabaseErrorsAreNotExposed checks that the log has the database's error with
// the id of the reply, and the reply does not.
func TestD55DatabaseErrorsAreNotExposed(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "auth=none")
	id := s.channel("ada")
	ada, old := s.dial("ada"), s.dialOld("ada")
	ada.send(id, "before")
	if err := pg.Exec("postgres", "ALTER TABLE messages RENAME TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	s.broken = true
	checkHidden := func(what, text string) {
		t.Helper()
		for _, word := range []string{
			"SQL", "SELECT", "relation", "messages m", "pgx", "pq:", "42P01", "postgres", "INSERT", "goroutine",
		} {
			if strings.Contains(text, word) {
				t.Errorf("%s: the reply contains %q: %s", what, word, text)
			}
		}
	}
	for _, c := range []struct{ method, path string }{{
		"GET", "/channels/" + id + "/messages",
	}, {"POST", "/channels/" + id + "/messages"}} {
		var body any
		if c.method == http.MethodPost {
			body = map[string]any{"content": "during"}
		}
		r := s.request(c.method, c.path, "ada", body)
		checkHidden(c.method, string(r.body))
		if r.status != http.StatusInternalServerError || r.field(t, "code") != "internal" || r.field(t, "detail") == "" {
			t.Errorf("%s: %d %s", c.method, r.status, r.body)
		}
		s.Log.Await(t, r.header.Get("X-Request-Id"), "42P01")
	}
	f := ada.ask("new_message", map[string]any{"channel_id": id, "content": "during"})
	checkHidden("a socket", f.raw)
	if f.Code != "internal" || !strings.Contains(f.raw, "retry_after_ms") {
		t.Errorf("got %s", f.raw)
	}
	s.Log.Await(t, "command failed", `"`+f.ID+`"`, "42P01")
	if f := old.ask("new_message", map[string]any{"channel_id": id, "content": "during"}); f.Type != "ack" ||
		f.Response.Code != "internal" {
		t.Errorf("got %s", f.raw)
	} else {
		checkHidden("an old client's socket", f.raw)
	}
	if err := pg.Exec("postgres", "ALTER TABLE elsewhere RENAME TO messages"); err != nil {
		t.Fatal(err)
	}
	ada.send(id, "after")
}

// TestD56NoBuiltInKeyAndNoLoggedSecrets runs with log level debug.
func TestD56NoBuiltInKeyAndNoLoggedSecrets(t *testing.T) {
	t.Parallel()
	if out, err := command(
		t, "serve", "--auth=jwt", "--listen=127.0.0.1:0", "--ops.listen=off", "--data-dir="+t.TempDir(),
	).CombinedOutput(); err == nil || !strings.Contains(string(out), "jwt") {
		t.Errorf("a server without a key started: %v %s", err, out)
	}
	s := serve(t, "log.level=debug", "auth.signup=invite")
	ada := s.signUp("ada@example.org", "Ada", "L")
	secrets := []string{ada.token, ada.password}
	// Tokens signed with keys that other servers had in their source code.
	for _, guess := range []string{"your-secret-key-change-in-production", "secret", "change-me", ""} {
		forged := testkit.JWT(t, jwt.SigningMethodHS256, []byte(guess),
			jwt.MapClaims{"sub": ada.id, "exp": time.Now().Add(time.Hour).Unix()})
		s.must(http.StatusUnauthorized, http.MethodGet, "/channels/", forged, nil)
		secrets = append(secrets, forged)
	}
	s.dialAs("/ws/"+ada.id, ada.token, chat.Protocol)
	for name, try := range map[string]func() (*client, *http.Response, error){
		"the query": func() (*client, *http.Response, error) {
			return s.tryDial("/ws?access_token="+ada.token, "", chat.Protocol)
		},
		"the subprotocol": func() (*client, *http.Response, error) {
			return s.tryDialWith(
				chat.Protocol, "bearer."+ada.token,
			)
		},
	} {
		c, resp, err := try()
		if err != nil {
			t.Errorf("%s: %v, %v", name, resp, err)
			continue
		}
		if got := c.conn.Subprotocol(); got != chat.Protocol {
			t.Errorf("%s: the server chose %q", name, got)
		}
	}
	invitation := s.must(http.StatusCreated, http.MethodPost, "/auth/invitations", ada.token, map[string]any{})
	secrets = append(secrets, invitation.field(t, "token"))
	const changed = "An0therSecret"
	s.must(http.StatusNoContent, http.MethodPost, "/auth/change-password", ada.token, map[string]any{
		"current_password": ada.password, "new_password": changed,
	})
	s.must(http.StatusUnauthorized, http.MethodPost, "/auth/login", "", map[string]any{
		"email": "ada@example.org", "password": changed + "x",
	})
	s.must(http.StatusOK, http.MethodPost, "/auth/password-reset-request", "", map[string]any{"email": "ada@example.org"})
	_, metrics := fetch(t, s.ops+"/metrics")
	for _, secret := range append(secrets, changed) {
		if secret == "" || secret == "<nil>" {
			t.Fatalf("an empty secret among %q", secrets)
		}
		if strings.Contains(s.Log.Text(), secret) || strings.Contains(metrics, secret) {
			t.Errorf("%q is in the log or the metrics", secret)
		}
	}
}

// TestD57NoPrivilegeEscalation checks that members cannot grant a role above their
// own, and that former members have no rights.
func TestD57NoPrivilegeEscalation(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("owner", "admin", "author", "other")
		members := "/channels/" + id + "/members"
		s.must(http.StatusOK, http.MethodPatch, members+"/admin", "owner", map[string]any{"role": "admin"})
		s.must(http.StatusOK, http.MethodGet, "/channels/", "friend", nil)
		s.must(http.StatusForbidden, http.MethodPost, members, "admin", map[string]any{
			"user_ids": []string{"friend"}, "role": "owner",
		})
		s.must(http.StatusForbidden, http.MethodPatch, members+"/admin", "admin", map[string]any{"role": "owner"})
		s.must(http.StatusForbidden, http.MethodPatch, members+"/other", "admin", map[string]any{"role": "owner"})
		s.must(http.StatusForbidden, http.MethodPatch, members+"/owner", "admin", map[string]any{"role": "member"})
		s.must(http.StatusForbidden, http.MethodDelete, members+"/owner", "admin", nil)
		s.must(http.StatusOK, http.MethodPost, members, "admin", map[string]any{
			"user_ids": []string{"friend"}, "role": "admin",
		})

		author := s.dial("author")
		mid := author.send(id, "mine").Response.MessageID
		s.must(http.StatusNoContent, http.MethodDelete, members+"/author", "author", nil)
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			var body any
			if method == http.MethodPatch {
				body = map[string]any{"content": "changed"}
			}
			s.must(http.StatusForbidden, method, "/channels/"+id+"/messages/"+mid, "author", body)
		}
		if f := author.ask("edit_message", map[string]any{
			"channel_id": id, "message_id": mid, "content": "changed",
		}); f.Code != "forbidden" {
			t.Errorf("got %s", f.raw)
		}
		if got := s.history("owner", id); len(got) != 1 || got[0] != "mine" {
			t.Errorf("the history is %q, want only \"mine\"", got)
		}
	})
}
