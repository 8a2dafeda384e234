package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// sendRaw is request with a body as it stands.
func (s *server) sendRaw(method, path, token, contentType string, body []byte) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	got := s.roundTrip(http.DefaultClient, r)
	s.describe(method, path, got)
	return got
}

// TestD58BadInputOverREST: each gets a 4xx that says which field is wrong, as
// problem+json, and nothing is stored. request holds every answer against the
// description, in which there is no status 500.
func TestD58BadInputOverREST(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		mid := s.must(
			http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{"content": "first"},
		).field(t, "id")
		c := "/channels/" + id
		m := c + "/messages/" + mid
		unknown := chat.NewID().String()
		deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
		const typ = "application/json"
		for _, bad := range []struct {
			name, method, path, contentType, body string
			status                                int
			code, says                            string // says is in the detail
		}{
			{"not JSON", "POST", c + "/messages", typ, `hello`, 400, "bad_json", "Invalid JSON"},
			{"half JSON", "POST", c + "/messages", typ, `{"content":"x"`, 400, "bad_json", "Invalid JSON"},
			{"two values", "POST", c + "/messages", typ, `{"content":"x"}{"content":"y"}`, 400, "bad_json", "Invalid JSON"},
			{"a name twice", "POST", c + "/messages", typ, `{"content":"x","content":"y"}`, 400, "bad_json", "Invalid JSON"},
			{"nothing", "POST", c + "/messages", typ, ``, 400, "bad_json", "body"},
			{"an array", "POST", c + "/messages", typ, `[]`, 422, "bad_request", "object"},
			{"null", "POST", c + "/messages", typ, `null`, 422, "bad_request", ""},
			{"10,000 nested arrays", "POST", c + "/messages", typ, deep, 422, "bad_request", "object"},
			{
				"10,000 nested arrays in a field", "POST", c + "/messages", typ, `{"content":` + deep + `}`, 400, "bad_json",
				"Invalid JSON",
			},
			{
				"10,000 nested arrays in another", "POST", c + "/messages", typ, `{"content":"x","other":` + deep + `}`, 400,
				"bad_json", "",
			},
			{"a lone surrogate", "POST", c + "/messages", typ, `{"content":"\ud800"}`, 400, "bad_json", "Invalid JSON"},
			{"invalid UTF-8", "POST", c + "/messages", typ, "{\"content\":\"\xff\xfe\"}", 400, "bad_json", "Invalid JSON"},
			{
				"another content type", "POST", c + "/messages", "text/plain", `{"content":"x"}`, 415, "bad_request",
				"application/json",
			},
			{
				"a form", "POST", c + "/messages", "application/x-www-form-urlencoded", `content=x`, 415, "bad_request",
				"application/json",
			},
			{
				"a content type that is none", "POST", c + "/messages", ";;", `{"content":"x"}`, 415, "bad_request",
				"application/json",
			},
			{
				"1 MiB", "POST", c + "/messages", typ, `{"content":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large",
				"65536",
			},
			{
				"content beyond the limit", "POST", c + "/messages", typ,
				`{"content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`, 413, "too_large", "16384",
			},
			{"no content", "POST", c + "/messages", typ, `{}`, 422, "bad_request", "content"},
			{"empty content", "POST", c + "/messages", typ, `{"content":""}`, 422, "bad_request", "content"},
			{
				"content of another type", "POST", c + "/messages", typ, `{"content":5}`, 422, "bad_request",
				"content must be a string",
			},
			{"a NUL", "POST", c + "/messages", typ, `{"content":"a\u0000b"}`, 422, "bad_request", "content"},
			{
				"a type that is none", "POST", c + "/messages", typ, `{"content":"x","message_type":"virus"}`, 422, "bad_request",
				"message_type",
			},
			{
				"the server's own type", "POST", c + "/messages", typ, `{"content":"x","message_type":"system"}`, 422,
				"bad_request", "message_type",
			},
			{
				"a long client_id", "POST", c + "/messages", typ, `{"content":"x","client_id":"` + strings.Repeat("k", 65) + `"}`,
				422, "bad_request", "client_id",
			},
			{
				"a NUL in the client_id", "POST", c + "/messages", typ, `{"content":"x","client_id":"\u0000"}`, 422, "bad_request",
				"client_id",
			},
			{
				"mentions that are no users", "POST", c + "/messages", typ, `{"content":"x","mentioned_user_ids":["a b"]}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"mentions that are no array", "POST", c + "/messages", typ, `{"content":"x","mentioned_user_ids":"bob"}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"51 mentions", "POST", c + "/messages", typ,
				`{"content":"x","mentioned_user_ids":[` + strings.TrimSuffix(strings.Repeat(`"bob",`, 51), ",") + `]}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"a parent that is no id", "POST", c + "/messages", typ, `{"content":"x","parent_message_id":"x"}`, 422,
				"bad_request", "parent_message_id",
			},
			{
				"a parent that is not there", "POST", c + "/messages", typ, `{"content":"x","parent_message_id":"` + unknown + `"}`,
				404, "not_found", "parent_message_id",
			},
			{
				"a script as a file", "POST", c + "/messages", typ, `{"content":"x","file_url":"javascript:alert(1)"}`, 422,
				"bad_request", "file_url",
			},
			{"a negative size", "POST", c + "/messages", typ, `{"content":"x","file_size":-1}`, 422, "bad_request", "file_size"},
			{
				"a size beyond 64 bits", "POST", c + "/messages", typ, `{"content":"x","file_size":99999999999999999999}`, 422,
				"bad_request", "file_size",
			},
			{
				"a size that is no number", "POST", c + "/messages", typ, `{"content":"x","file_size":1e999}`, 422, "bad_request",
				"file_size",
			},
			{"a negative limit", "GET", c + "/messages?limit=-1", "", ``, 422, "bad_request", "limit"},
			{"no limit", "GET", c + "/messages?limit=0", "", ``, 422, "bad_request", "limit"},
			{"a large limit", "GET", c + "/messages?limit=101", "", ``, 422, "bad_request", "limit"},
			{"a huge limit", "GET", c + "/messages?limit=99999999999999999999", "", ``, 422, "bad_request", "limit"},
			{"a limit that is no number", "GET", c + "/messages?limit=ten", "", ``, 422, "bad_request", "limit"},
			{"a negative seq", "GET", c + "/messages?after_seq=-1", "", ``, 422, "bad_request", "after_seq"},
			{"before what is neither", "GET", c + "/messages?before=yesterday", "", ``, 422, "bad_request", "before"},
			{"before_id that is none", "GET", c + "/messages?before_id=1", "", ``, 422, "bad_request", "before_id"},
			{"before_id that is not there", "GET", c + "/messages?before_id=" + unknown, "", ``, 404, "not_found", ""},
			{"parent_id that is none", "GET", c + "/messages?parent_id=%00", "", ``, 422, "bad_request", "parent_id"},
			{"after and before", "GET", c + "/messages?after_seq=1&before_id=" + mid, "", ``, 422, "bad_request", "after_seq"},
			{"an id that is none", "GET", "/channels/1%20OR%201=1", "", ``, 422, "bad_request", "id"},
			{"an id in braces", "GET", "/channels/%7B" + id + "%7D", "", ``, 422, "bad_request", "id"},
			{"an id with a NUL", "GET", "/channels/" + id[:35] + "%00", "", ``, 422, "bad_request", "id"},
			{"a message that is not there", "GET", c + "/messages/" + unknown, "", ``, 404, "not_found", "Message not found"},
			{"a message id that is none", "DELETE", c + "/messages/x", "", ``, 422, "bad_request", "message_id"},
			{"an edit to nothing", "PATCH", m, typ, `{"content":""}`, 422, "bad_request", ""},
			{"an edit with a NUL", "PATCH", m, typ, `{"content":"\u0000"}`, 422, "bad_request", "content"},
			{
				"an edit beyond the limit", "PATCH", m, typ, `{"content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`, 413,
				"too_large", "",
			},
			{
				"a long emoji", "POST", m + "/reactions", typ, `{"emoji":"` + strings.Repeat("x", 51) + `"}`, 422, "bad_request",
				"emoji",
			},
			{"an empty emoji", "POST", m + "/reactions", typ, `{"emoji":""}`, 422, "bad_request", ""},
			{"a NUL as an emoji", "POST", m + "/reactions", typ, `{"emoji":"\u0000"}`, 422, "bad_request", "emoji"},
			{"a NUL as an emoji in the path", "DELETE", m + "/reactions/%00", "", ``, 422, "bad_request", "emoji"},
			{"invalid UTF-8 as an emoji in the path", "DELETE", m + "/reactions/%ff", "", ``, 422, "bad_request", "emoji"},
			{"no name", "POST", "/channels/", typ, `{"name":"  "}`, 422, "bad_request", "name"},
			{
				"a long name", "POST", "/channels/", typ, `{"name":"` + strings.Repeat("ä", 101) + `"}`, 422, "bad_request", "name",
			},
			{
				"a kind of channel that is none", "POST", "/channels/", typ, `{"name":"x","channel_type":"party"}`, 422,
				"bad_request", "channel_type",
			},
			{
				"a direct channel by the wrong way", "POST", "/channels/", typ, `{"name":"x","channel_type":"direct"}`, 422,
				"bad_request", "/channels/direct",
			},
			{
				"a founder who is not there", "POST", "/channels/", typ, `{"name":"x","member_ids":["nobody-at-all"]}`, 404,
				"not_found", "nobody-at-all",
			},
			{
				"a founder who is no user", "POST", "/channels/", typ, `{"name":"x","member_ids":["'; DROP TABLE users"]}`, 422,
				"bad_request", "member_ids",
			},
			{
				"is_private that is no bool", "POST", "/channels/", typ, `{"name":"x","is_private":"yes"}`, 422, "bad_request",
				"is_private",
			},
			{"a NUL in the topic", "PATCH", c, typ, `{"topic":"\u0000"}`, 422, "bad_request", "topic"},
			{
				"a long description", "PATCH", c, typ, `{"description":"` + strings.Repeat("x", 2001) + `"}`, 422, "bad_request",
				"description",
			},
			{"a direct channel with nobody", "POST", "/channels/direct", typ, `{}`, 422, "bad_request", "user_id"},
			{
				"a direct channel with one who is not there", "POST", "/channels/direct", typ, `{"user_id":"nobody-at-all"}`, 404,
				"not_found", "",
			},
			{"no members", "POST", c + "/members", typ, `{"user_ids":[]}`, 422, "bad_request", "user_ids"},
			{
				"101 members", "POST", c + "/members", typ, `{"user_ids":[` + manyUsers(101) + `]}`, 422, "bad_request", "user_ids",
			},
			{
				"a role that is none", "POST", c + "/members", typ, `{"user_ids":["bob"],"role":"god"}`, 422, "bad_request", "role",
			},
			{"a role that is none, for a member", "PATCH", c + "/members/bob", typ, `{"role":""}`, 422, "bad_request", "role"},
			{"a member who is none", "DELETE", c + "/members/eve", "", ``, 404, "not_found", ""},
			{"a member who is no user", "DELETE", c + "/members/a%20b", "", ``, 422, "bad_request", "user_id"},
			{
				"a level that is none", "PATCH", c + "/members/me", typ, `{"notification_level":"some"}`, 422, "bad_request",
				"notification_level",
			},
			{
				"a receipt for what is not there", "POST", c + "/read", typ, `{"message_id":"` + unknown + `"}`, 404, "not_found",
				"",
			},
			{"a negative receipt", "POST", c + "/read", typ, `{"seq":-1}`, 422, "bad_request", "seq"},
			{
				"501 users", "GET", "/users?ids=" + strings.TrimSuffix(strings.Repeat("u,", 501), ","), "", ``, 422, "bad_request",
				"ids",
			},
			{"users who are none", "GET", "/users?ids=%00", "", ``, 422, "bad_request", "ids"},
			{"a long search", "GET", "/users?query=" + strings.Repeat("x", 101), "", ``, 422, "bad_request", "query"},
			{"a NUL as a search", "GET", "/users?query=%00", "", ``, 422, "bad_request", "query"},
			{"invalid UTF-8 as a search", "GET", "/channels/browse?query=%ff", "", ``, 422, "bad_request", "query"},
			{
				"a flag that is none", "GET", "/channels/?include_archived=perhaps", "", ``, 422, "bad_request", "include_archived",
			},
			{"a status of no user", "GET", "/user/a%20b/status", "", ``, 422, "bad_request", ""},
			{"nothing at this address", "GET", "/channels/" + id + "/secrets", "", ``, 404, "not_found", "/api/docs"},
			{"a way out", "GET", "/channels/..%2f..%2fetc%2fpasswd", "", ``, 422, "bad_request", "id"},
			{"a method that is none here", "PUT", c + "/messages", typ, `{}`, 405, "bad_request", "GET, HEAD, POST"},
			{"a method that is none here, either", "DELETE", "/channels/", "", ``, 405, "bad_request", "GET, HEAD, POST"},
		} {
			r := s.sendRaw(bad.method, bad.path, "ada", bad.contentType, []byte(bad.body))
			if r.status != bad.status || r.field(t, "code") != bad.code || !strings.Contains(r.field(t, "detail"), bad.says) {
				t.Errorf("%s: %d %s; want %d %s, and %q in the detail", bad.name, r.status, r.body, bad.status, bad.code, bad.says)
			}
			if len(r.body) > 1000 || strings.Contains(string(r.body), "SQL") || strings.Contains(string(r.body), "xxxx") {
				t.Errorf("%s: told %s", bad.name, r.body)
			}
		}
		for _, user := range []string{"ada", "bob"} {
			var all []chat.Channel
			s.must(http.StatusOK, http.MethodGet, "/channels/?include_archived=true", user, nil).into(t, &all)
			if len(all) != 1 || all[0].LastSeq != 2 || all[0].MemberCount != 2 || all[0].MessageCount != 1 ||
				all[0].Name != "test" {
				t.Errorf("something was stored: %+v", all)
			}
		}
		var got chat.Message
		s.must(http.StatusOK, http.MethodGet, m, "bob", nil).into(t, &got)
		if got.Content != "first" || got.IsEdited || got.ReactionCount != 0 || got.ThreadReplyCount != 0 {
			t.Errorf("the message is %+v", got)
		}
	})
}

func manyUsers(n int) string {
	users := make([]string, n)
	for i := range users {
		users[i] = fmt.Sprintf(`"u%d"`, i)
	}
	return strings.Join(users, ",")
}

// TestInvalidSignUpsAreRefused get answers of their own, and make no account.
func TestInvalidSignUpsAreRefused(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database)
		for name, body := range map[string]string{
			"no email":            `{"password":"Sup3rsecret"}`,
			"an email that is no": `{"email":"ada","password":"Sup3rsecret"}`,
			"a NUL in the email":  `{"email":"a\u0000@example.org","password":"Sup3rsecret"}`,
			"two lines":           `{"email":"a@example.org\r\nBcc: b@example.org","password":"Sup3rsecret"}`,
			"a short password":    `{"email":"ada@example.org","password":"Ab3"}`,
			"a simple password":   `{"email":"ada@example.org","password":"aaaaaaaaaa"}`,
			"a long password":     `{"email":"ada@example.org","password":"Aa3` + strings.Repeat("x", 200) + `"}`,
			"a number":            `{"email":"ada@example.org","password":12345678}`,
			"a role":              `{"email":"ada@example.org","password":"Sup3rsecret","role":"admin"}`,
		} {
			if r := s.sendRaw(
				http.MethodPost, "/auth/signup", "", "application/json", []byte(body),
			); r.status != http.StatusUnprocessableEntity || r.field(t, "code") != "bad_request" {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		s.must(http.StatusUnauthorized, http.MethodPost, "/auth/login", "", map[string]any{
			"email": "ada@example.org", "password": "Sup3rsecret",
		})
		names := s.must(http.StatusCreated, http.MethodPost, "/auth/signup", "", map[string]any{
			"email": "ada@example.org", "password": "Sup3rsecret", "first_name": "A\x00d\u202ea",
		}).value(t)
		if user := names.(map[string]any)["user"].(map[string]any); strings.ContainsAny(user["name"].(string), "\x00\u202e") {
			t.Errorf("a name is %q", user["name"])
		}
	})
}

// TestOversizedBodyIsCutOff, and one that lies about its length.
func TestOversizedBodyIsCutOff(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none")
	id := s.channel("ada")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/api/v1/channels/"+id+
		"/messages", io.MultiReader(
		strings.NewReader(`{"content":"`), io.LimitReader(endless{}, 32<<20)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer ada")
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err == nil { // else it was cut off before all was written
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	if got := s.history("ada", id); len(got) != 0 {
		t.Errorf("stored %d messages", len(got))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
