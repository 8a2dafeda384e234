package e2e

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestOldRESTResponses checks the fields and texts of the old REST API.
func TestOldRESTResponses(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		for _, u := range []string{"ada", "bob", "eve"} {
			s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil)
		}
		created := s.must(http.StatusCreated, http.MethodPost, "/channels/", "ada", map[string]any{
			"name": "algebra", "description": "d", "channel_type": "subject", "is_private": true, "subject": "maths",
			"topic": "t", "member_ids": []string{"bob"}, "tutor_id": "ada",
		})
		oldChannel.check(t, "a new channel", created.value(t))
		oldMembership.check(t, "its my_membership", created.value(t).(map[string]any)["my_membership"])
		id := created.field(t, "id")
		direct := s.must(http.StatusOK, http.MethodPost, "/channels/direct", "ada", map[string]any{"user_id": "bob"})
		oldChannel.check(t, "a direct channel", direct.value(t))
		if direct.field(t, "name") != "DM-ada-bob" || direct.field(t, "channel_type") != "direct" ||
			direct.field(t, "member_count") != "2" {
			t.Errorf("a direct channel is %s, want DM-ada-bob with 2 members", direct.body)
		}
		for _, path := range []string{"/channels", "/channels/", "/channels/?include_archived=true"} {
			r := s.unfollowed(path, "bob")
			if r.status != http.StatusOK {
				t.Errorf("%s: status %d, want 200", path, r.status)
			}
			list := r.value(t).([]any)
			if len(list) != 2 {
				t.Errorf("%s: got %s, want 2 channels", path, r.body)
			}
			oldChannel.check(t, "a listed channel", list[0])
		}
		c := "/channels/" + id
		sent := s.must(http.StatusCreated, http.MethodPost, c+"/messages", "ada", map[string]any{
			"content": "see", "message_type": "file", "mentioned_user_ids": []string{"bob"},
			"file_url":  "https://files.example/a.pdf",
			"file_name": "a.pdf", "file_type": "application/pdf", "file_size": 12, "reply_to_nobody": 1,
		})
		oldMessage.check(t, "a message", sent.value(t))
		m := c + "/messages/" + sent.field(t, "id")
		oldMessage.check(
			t, "an edited message",
			s.must(http.StatusOK, http.MethodPatch, m, "ada", map[string]any{"content": "seen"}).value(t),
		)
		oldMessage.check(
			t, "a message in history", s.must(http.StatusOK, http.MethodGet, c+"/messages", "bob", nil).value(t).([]any)[0],
		)

		const none = "0190a5e2-7b1c-7d3e-8f00-0123456789ab" // an id that does not exist
		for _, e := range []struct {
			method, path, as string
			body             any
			status           int
			text             string // detail of a refusal, message of a success
		}{
			{"POST", c + "/members", "ada", map[string]any{"user_ids": []string{"eve", "bob"}}, 200, "Added 1 members"},
			{"DELETE", c + "/members/eve", "ada", nil, 204, ""},
			{
				"PATCH", c + "/members/me", "bob",
				map[string]any{"is_starred": true, "notification_level": "mentions", "role": "owner"},
				200, "Membership updated",
			},
			{"POST", c + "/read", "bob", nil, 200, "Marked as read"},
			{"POST", c + "/read", "bob", map[string]any{"message_id": sent.field(t, "id")}, 200, "Marked as read"},
			{"POST", m + "/reactions", "bob", map[string]any{"emoji": "👍"}, 200, "Reaction added"},
			{"POST", m + "/reactions", "bob", map[string]any{"emoji": "👍"}, 200, "Reaction already exists"},
			{"DELETE", m + "/reactions/%F0%9F%91%8D", "bob", nil, 200, "Reaction removed"},
			{"DELETE", m + "/reactions/%F0%9F%91%8D", "bob", nil, 200, "Reaction removed"},
			{"GET", c, "eve", nil, 403, "Not a member of this channel"},
			{"GET", "/channels/" + none, "ada", nil, 403, "Not a member of this channel"},
			{"GET", c + "/messages", "eve", nil, 403, "Not a member of this channel"},
			{"POST", c + "/messages", "eve", map[string]any{"content": "x"}, 403, "Not a member of this channel"},
			{"POST", c + "/read", "eve", nil, 403, "Not a member of this channel"},
			{"PATCH", c + "/members/me", "eve", map[string]any{"is_muted": true}, 403, "Not a member of this channel"},
			{"PATCH", c, "bob", map[string]any{"name": "x"}, 403, "Only channel admins/owners can update channel"},
			{
				"POST", c + "/members", "bob",
				map[string]any{"user_ids": []string{"eve"}},
				403,
				"Only channel admins/owners can add members",
			},
			{"PATCH", m, "bob", map[string]any{"content": "x"}, 403, "Can only update your own messages"},
			{"DELETE", m, "bob", nil, 403, "Can only delete your own messages"},
			{"PATCH", c + "/messages/" + none, "ada", map[string]any{"content": "x"}, 404, "Message not found"},
			{"DELETE", c + "/messages/" + none, "ada", nil, 404, "Message not found"},
			{"GET", c + "/messages?limit=101", "ada", nil, 422, ""},
			{"GET", c + "/messages?limit=-1", "ada", nil, 422, ""},
			{"GET", "/channels/not-a-uuid", "ada", nil, 422, ""},
			{"POST", "/channels/direct", "ada", map[string]any{"user_id": "ada"}, 422, ""},
			{"GET", "/channels/", "", nil, 401, "Not authenticated"},
			{"GET", "/channels/", "a b", nil, 401, "Could not validate credentials"},
			{"DELETE", m, "ada", nil, 204, ""},
		} {
			r := s.request(e.method, e.path, e.as, e.body)
			got := ""
			if r.status != http.StatusNoContent {
				fields := r.value(t).(map[string]any)
				got, _ = fields["message"].(string)
				if r.status >= 400 {
					got, _ = fields["detail"].(string)
				}
			}
			if r.status != e.status || e.text != "" && got != e.text || r.status >= 400 && got == "" {
				t.Errorf("%s %s as %q: %d %q, want %d %q", e.method, e.path, e.as, r.status, got, e.status, e.text)
			}
			if r.status == 401 && r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s: no WWW-Authenticate header", e.method, e.path)
			}
			if seconds, err := strconv.ParseFloat(r.header.Get("X-Process-Time"), 64); err != nil || seconds < 0 {
				t.Errorf("%s %s: X-Process-Time %q", e.method, e.path, r.header.Get("X-Process-Time"))
			}
		}
		var status map[string]any
		for path, want := range map[string]shape{
			"/online-users":                      {"online_users": "array", "count": "int"},
			"/user/bob/status":                   {"user_id": "string", "is_online": "bool"},
			"/channel/" + id + "/online-members": {"channel_id": "uuid", "online_members": "array", "count": "int"},
		} {
			r := s.must(http.StatusOK, http.MethodGet, path, "ada", nil)
			r.into(t, &status)
			want.check(t, path, r.value(t))
		}
		if status, body := fetch(t, s.url+"/health"); status != http.StatusOK || body == "" {
			t.Errorf("health: status %d: %s", status, body)
		}
	})
}

// unfollowed makes a GET request that follows no redirect.
func (s *server) unfollowed(path, token string) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/v1"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return s.roundTrip(
		&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, r,
	)
}

// TestOldPageLogIn checks that the cookie set by a log-in opens the socket, whose path
// has only the user's id.
func TestOldPageLogIn(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database, "compat.campuspandit-page=true", "origins="+pageOrigin, "cors.origins="+pageOrigin)
		page := []string{"Origin", pageOrigin}
		signup := map[string]any{
			"email": "ada@example.org", "password": "Sup3rsecret", "first_name": "Ada", "last_name": "L", "role": "student",
		}
		first := s.request(http.MethodPost, "/auth/signup", "", signup, page...)
		if first.status != http.StatusCreated {
			t.Fatalf("first sign-up: status %d: %s", first.status, first.body)
		}
		if again := s.request(http.MethodPost, "/auth/signup", "", signup, page...); again.status < 400 ||
			again.field(t, "detail") != "Email already registered" {
			t.Errorf("second sign-up: status %d: %s", again.status, again.body)
		}
		login := map[string]any{"email": "ada@example.org", "password": "wrong"}
		if r := s.request(http.MethodPost, "/auth/login", "", login, page...); r.status != 401 ||
			r.field(t, "detail") != "Invalid email or password" {
			t.Errorf("wrong password: status %d: %s", r.status, r.body)
		}
		login["password"] = "Sup3rsecret"
		// The page sends its previous token, even if it is no longer valid.
		in := s.request(http.MethodPost, "/auth/login", "a.stale.token", login, page...)
		for _, r := range []response{first, in} {
			v := r.value(t).(map[string]any)
			oldToken.check(t, "a log-in", v)
			oldUser.check(t, "its user", v["user"])
			if v["token_type"] != "bearer" {
				t.Errorf("token_type %v", v["token_type"])
			}
		}
		var token struct {
			AccessToken string `json:"access_token"`
			User        struct{ ID string }
		}
		in.into(t, &token)
		cookie := (&http.Response{Header: in.header}).Cookies()[0]
		if cookie.Name != "access_token" || cookie.Value != token.AccessToken || !cookie.HttpOnly ||
			cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.MaxAge <= 0 {
			t.Errorf("the cookie is %v", cookie)
		}
		if got := in.header.Get("Access-Control-Allow-Origin"); got != pageOrigin ||
			in.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("the log-in allows the origin %q, want %q", got, pageOrigin)
		}
		s.must(http.StatusOK, http.MethodGet, "/channels/", token.AccessToken, nil)

		sent := "access_token=" + cookie.Value
		for _, c := range []struct {
			name, user string
			header     []string
			status     int // 0: the socket opens
		}{
			{"cookie, same host", token.User.ID, []string{"Cookie", sent, "Origin", s.url}, 0},
			{"cookie, origin of the page", token.User.ID, []string{"Cookie", sent, "Origin", pageOrigin}, 0},
			{"cookie, foreign origin", token.User.ID, []string{"Cookie", sent, "Origin", "https://evil.example"}, 403},
			{"path of another user", "another", []string{"Cookie", sent, "Origin", pageOrigin}, 403},
			{"no cookie", token.User.ID, page, 401},
			{"invalid cookie", token.User.ID, []string{"Cookie", "access_token=chowk_x", "Origin", pageOrigin}, 401},
		} {
			socket, resp, err := s.tryDial("/ws/"+c.user, "", "", c.header...)
			if c.status == 0 {
				if err != nil {
					t.Errorf("%s: %v, %v", c.name, resp, err)
				} else if socket.hello.check(t); socket.hello.UserID != token.User.ID {
					t.Errorf("%s: %s", c.name, socket.hello.raw)
				}
			} else if err == nil || resp == nil || resp.StatusCode != c.status {
				t.Errorf("%s: %v, %v", c.name, resp, err)
			}
		}
	})
}

// TestD58ErrorsCarryCORSHeaders checks that pages of an allowed origin can read
// errors, and pages of other origins cannot.
func TestD58ErrorsCarryCORSHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "cors.origins="+pageOrigin)
	id := s.channel("ada")
	for _, c := range []struct {
		method, path, as string
		body             any
		status           int
	}{
		{"GET", "/channels/", "", nil, 401},
		{"GET", "/channels/", "ada", nil, 200},
		{"GET", "/channels/x", "ada", nil, 422},
		{"GET", "/channels/" + id, "eve", nil, 403},
		{"GET", "/nothing", "ada", nil, 404},
		{"PUT", "/channels/", "ada", map[string]any{}, 405},
		{"POST", "/channels/" + id + "/messages", "ada", map[string]any{"content": strings.Repeat("x", 70<<10)}, 413},
	} {
		r := s.request(c.method, c.path, c.as, c.body, "Origin", pageOrigin)
		if r.status != c.status || r.header.Get("Access-Control-Allow-Origin") != pageOrigin ||
			r.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s %s: %d (want %d), %v", c.method, c.path, r.status, c.status, r.header)
		}
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Retry-After") ||
			!strings.Contains(r.header.Get("Vary"), "Origin") {
			t.Errorf("%s %s: %v", c.method, c.path, r.header)
		}
		for _, other := range []string{
			"https://evil.example", "null", pageOrigin + ".evil.example", "http://www.campuspandit.example",
		} {
			if r := s.request(
				c.method, c.path, c.as, c.body, "Origin", other,
			); r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s is readable for %s", c.method, c.path, other)
			}
		}
	}
	headers := []string{
		"Origin", pageOrigin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers",
		"authorization,content-type",
	}
	r := s.preflight("/channels/"+id, headers...)
	allowed := strings.ToLower(r.header.Get("Access-Control-Allow-Headers"))
	if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != pageOrigin ||
		!regexp.MustCompile(`\bPATCH\b`).MatchString(r.header.Get("Access-Control-Allow-Methods")) ||
		!strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "content-type") {
		t.Errorf("preflight: status %d, %v", r.status, r.header)
	}
	headers[1] = "https://evil.example"
	if r := s.preflight("/channels/"+id, headers...); r.status != http.StatusForbidden ||
		r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of a foreign origin: status %d, want 403: %v", r.status, r.header)
	}
}

// preflight makes the request that a browser makes before a cross-origin request.
func (s *server) preflight(path string, header ...string) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodOptions, s.url+"/api/v1"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return s.roundTrip(http.DefaultClient, r)
}
