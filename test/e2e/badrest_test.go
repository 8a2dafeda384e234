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

// sendRaw is request with a body that it sends unchanged.
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

// TestD58BadInputOverREST checks that each input gets a 4xx as problem+json that
// identifies the invalid field, and that nothing is stored. request validates every
// answer against the OpenAPI document, which has no status 500.
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
			code, detail                          string // detail is a part of the detail
		}{
			{"not JSON", "POST", c + "/messages", typ, `hello`, 400, "bad_json", "Invalid JSON"},
			{"truncated JSON", "POST", c + "/messages", typ, `{"content":"x"`, 400, "bad_json", "Invalid JSON"},
			{"two JSON values", "POST", c + "/messages", typ, `{"content":"x"}{"content":"y"}`, 400, "bad_json", "Invalid JSON"},
			{"duplicate name", "POST", c + "/messages", typ, `{"content":"x","content":"y"}`, 400, "bad_json", "Invalid JSON"},
			{"empty body", "POST", c + "/messages", typ, ``, 400, "bad_json", "body"},
			{"array", "POST", c + "/messages", typ, `[]`, 422, "bad_request", "object"},
			{"null", "POST", c + "/messages", typ, `null`, 422, "bad_request", ""},
			{"10,000 nested arrays", "POST", c + "/messages", typ, deep, 422, "bad_request", "object"},
			{
				"10,000 nested arrays in a field", "POST", c + "/messages", typ, `{"content":` + deep + `}`, 400, "bad_json",
				"Invalid JSON",
			},
			{
				"10,000 nested arrays in an unknown field", "POST", c + "/messages", typ, `{"content":"x","other":` + deep + `}`,
				400,
				"bad_json", "",
			},
			{"lone surrogate", "POST", c + "/messages", typ, `{"content":"\ud800"}`, 400, "bad_json", "Invalid JSON"},
			{"invalid UTF-8", "POST", c + "/messages", typ, "{\"content\":\"\xff\xfe\"}", 400, "bad_json", "Invalid JSON"},
			{
				"wrong content type", "POST", c + "/messages", "text/plain", `{"content":"x"}`, 415, "bad_request",
				"application/json",
			},
			{
				"form", "POST", c + "/messages", "application/x-www-form-urlencoded", `content=x`, 415, "bad_request",
				"application/json",
			},
			{
				"invalid content type", "POST", c + "/messages", ";;", `{"content":"x"}`, 415, "bad_request",
				"application/json",
			},
			{
				"1 MiB", "POST", c + "/messages", typ, `{"content":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large",
				"65536",
			},
			{
				"content too large", "POST", c + "/messages", typ,
				`{"content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`, 413, "too_large", "16384",
			},
			{"no content", "POST", c + "/messages", typ, `{}`, 422, "bad_request", "content"},
			{"empty content", "POST", c + "/messages", typ, `{"content":""}`, 422, "bad_request", "content"},
			{
				"content is not a string", "POST", c + "/messages", typ, `{"content":5}`, 422, "bad_request",
				"content must be a string",
			},
			{"NUL in content", "POST", c + "/messages", typ, `{"content":"a\u0000b"}`, 422, "bad_request", "content"},
			{
				"unknown message_type", "POST", c + "/messages", typ, `{"content":"x","message_type":"virus"}`, 422, "bad_request",
				"message_type",
			},
			{
				"reserved message_type", "POST", c + "/messages", typ, `{"content":"x","message_type":"system"}`, 422,
				"bad_request", "message_type",
			},
			{
				"client_id too long", "POST", c + "/messages", typ, `{"content":"x","client_id":"` + strings.Repeat("k", 65) + `"}`,
				422, "bad_request", "client_id",
			},
			{
				"NUL in client_id", "POST", c + "/messages", typ, `{"content":"x","client_id":"\u0000"}`, 422, "bad_request",
				"client_id",
			},
			{
				"mentions are not user ids", "POST", c + "/messages", typ, `{"content":"x","mentioned_user_ids":["a b"]}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"mentions are not an array", "POST", c + "/messages", typ, `{"content":"x","mentioned_user_ids":"bob"}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"too many mentions", "POST", c + "/messages", typ,
				`{"content":"x","mentioned_user_ids":[` + strings.TrimSuffix(strings.Repeat(`"bob",`, 51), ",") + `]}`, 422,
				"bad_request", "mentioned_user_ids",
			},
			{
				"parent is not an id", "POST", c + "/messages", typ, `{"content":"x","parent_message_id":"x"}`, 422,
				"bad_request", "parent_message_id",
			},
			{
				"missing parent", "POST", c + "/messages", typ, `{"content":"x","parent_message_id":"` + unknown + `"}`,
				404, "not_found", "parent_message_id",
			},
			{
				"script as file_url", "POST", c + "/messages", typ, `{"content":"x","file_url":"javascript:alert(1)"}`, 422,
				"bad_request", "file_url",
			},
			{
				"negative file_size", "POST", c + "/messages", typ, `{"content":"x","file_size":-1}`, 422, "bad_request",
				"file_size",
			},
			{
				"file_size exceeds 64 bits", "POST", c + "/messages", typ, `{"content":"x","file_size":99999999999999999999}`, 422,
				"bad_request", "file_size",
			},
			{
				"file_size is not an integer", "POST", c + "/messages", typ, `{"content":"x","file_size":1e999}`, 422,
				"bad_request",
				"file_size",
			},
			{"negative limit", "GET", c + "/messages?limit=-1", "", ``, 422, "bad_request", "limit"},
			{"zero limit", "GET", c + "/messages?limit=0", "", ``, 422, "bad_request", "limit"},
			{"limit too large", "GET", c + "/messages?limit=101", "", ``, 422, "bad_request", "limit"},
			{"limit exceeds 64 bits", "GET", c + "/messages?limit=99999999999999999999", "", ``, 422, "bad_request", "limit"},
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
				"edit too large", "PATCH", m, typ, `{"content":"` + strings.Repeat("x", chat.MaxContent+1) + `"}`, 413,
				"too_large", "",
			},
			{
				"emoji too long", "POST", m + "/reactions", typ, `{"emoji":"` + strings.Repeat("x", 51) + `"}`, 422, "bad_request",
				"emoji",
			},
			{"empty emoji", "POST", m + "/reactions", typ, `{"emoji":""}`, 422, "bad_request", ""},
			{"NUL in emoji", "POST", m + "/reactions", typ, `{"emoji":"\u0000"}`, 422, "bad_request", "emoji"},
			{"NUL in emoji of the path", "DELETE", m + "/reactions/%00", "", ``, 422, "bad_request", "emoji"},
			{"invalid UTF-8 in emoji of the path", "DELETE", m + "/reactions/%ff", "", ``, 422, "bad_request", "emoji"},
			{"no name", "POST", "/channels/", typ, `{"name":"  "}`, 422, "bad_request", "name"},
			{
				"name too long", "POST", "/channels/", typ, `{"name":"` + strings.Repeat("ä", 101) + `"}`, 422, "bad_request",
				"name",
			},
			{
				"unknown channel_type", "POST", "/channels/", typ, `{"name":"x","channel_type":"party"}`, 422,
				"bad_request", "channel_type",
			},
			{
				"direct channel with the wrong call", "POST", "/channels/", typ, `{"name":"x","channel_type":"direct"}`, 422,
				"bad_request", "/channels/direct",
			},
			{
				"missing initial member", "POST", "/channels/", typ, `{"name":"x","member_ids":["nobody-at-all"]}`, 404,
				"not_found", "nobody-at-all",
			},
			{
				"initial member is not a user id", "POST", "/channels/", typ, `{"name":"x","member_ids":["'; DROP TABLE users"]}`,
				422,
				"bad_request", "member_ids",
			},
			{
				"is_private is not a boolean", "POST", "/channels/", typ, `{"name":"x","is_private":"yes"}`, 422, "bad_request",
				"is_private",
			},
			{"NUL in topic", "PATCH", c, typ, `{"topic":"\u0000"}`, 422, "bad_request", "topic"},
			{
				"description too long", "PATCH", c, typ, `{"description":"` + strings.Repeat("x", 2001) + `"}`, 422, "bad_request",
				"description",
			},
			{"direct channel without a user", "POST", "/channels/direct", typ, `{}`, 422, "bad_request", "user_id"},
			{
				"direct channel with a missing user", "POST", "/channels/direct", typ, `{"user_id":"nobody-at-all"}`, 404,
				"not_found", "",
			},
			{"no members", "POST", c + "/members", typ, `{"user_ids":[]}`, 422, "bad_request", "user_ids"},
			{
				"101 members", "POST", c + "/members", typ, `{"user_ids":[` + manyUsers(101) + `]}`, 422, "bad_request", "user_ids",
			},
			{
				"unknown role", "POST", c + "/members", typ, `{"user_ids":["bob"],"role":"god"}`, 422, "bad_request", "role",
			},
			{"empty role for a member", "PATCH", c + "/members/bob", typ, `{"role":""}`, 422, "bad_request", "role"},
			{"user is not a member", "DELETE", c + "/members/eve", "", ``, 404, "not_found", ""},
			{"member is not a user id", "DELETE", c + "/members/a%20b", "", ``, 422, "bad_request", "user_id"},
			{
				"unknown notification level", "PATCH", c + "/members/me", typ, `{"notification_level":"some"}`, 422, "bad_request",
				"notification_level",
			},
			{
				"receipt for a missing message", "POST", c + "/read", typ, `{"message_id":"` + unknown + `"}`, 404, "not_found",
				"",
			},
			{"negative receipt", "POST", c + "/read", typ, `{"seq":-1}`, 422, "bad_request", "seq"},
			{
				"too many user ids", "GET", "/users?ids=" + strings.TrimSuffix(strings.Repeat("u,", 501), ","), "", ``, 422,
				"bad_request",
				"ids",
			},
			{"invalid user ids", "GET", "/users?ids=%00", "", ``, 422, "bad_request", "ids"},
			{"search too long", "GET", "/users?query=" + strings.Repeat("x", 101), "", ``, 422, "bad_request", "query"},
			{"NUL in search", "GET", "/users?query=%00", "", ``, 422, "bad_request", "query"},
			{"invalid UTF-8 in search", "GET", "/channels/browse?query=%ff", "", ``, 422, "bad_request", "query"},
			{
				"flag is not a boolean", "GET", "/channels/?include_archived=perhaps", "", ``, 422, "bad_request",
				"include_archived",
			},
			{"status of an invalid user id", "GET", "/user/a%20b/status", "", ``, 422, "bad_request", ""},
			{"unknown path", "GET", "/channels/" + id + "/secrets", "", ``, 404, "not_found", "/api/docs"},
			{"path traversal", "GET", "/channels/..%2f..%2fetc%2fpasswd", "", ``, 422, "bad_request", "id"},
			{"wrong method for messages", "PUT", c + "/messages", typ, `{}`, 405, "bad_request", "GET, HEAD, POST"},
			{"wrong method for channels", "DELETE", "/channels/", "", ``, 405, "bad_request", "GET, HEAD, POST"},
		} {
			r := s.sendRaw(bad.method, bad.path, "ada", bad.contentType, []byte(bad.body))
			if r.status != bad.status || r.field(t, "code") != bad.code || !strings.Contains(r.field(t, "detail"), bad.detail) {
				t.Errorf(
					"%s: %d %s; want %d %s, and %q in the detail", bad.name, r.status, r.body, bad.status, bad.code, bad.detail,
				)
			}
			if len(r.body) > 1000 || strings.Contains(string(r.body), "SQL") || strings.Contains(string(r.body), "xxxx") {
				t.Errorf("%s: the body is long or exposes SQL or the input: %s", bad.name, r.body)
			}
		}
		for _, user := range []string{"ada", "bob"} {
			var all []chat.Channel
			s.must(http.StatusOK, http.MethodGet, "/channels/?include_archived=true", user, nil).into(t, &all)
			if len(all) != 1 || all[0].LastSeq != 2 || all[0].MemberCount != 2 || all[0].MessageCount != 1 ||
				all[0].Name != "test" {
				t.Errorf("%s sees a change: %+v", user, all)
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

// TestInvalidSignUpsAreRefused checks that each is refused with bad_request and
// creates no account.
func TestInvalidSignUpsAreRefused(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database)
		for name, body := range map[string]string{
			"no email":             `{"password":"Sup3rsecret"}`,
			"invalid email":        `{"email":"ada","password":"Sup3rsecret"}`,
			"NUL in email":         `{"email":"a\u0000@example.org","password":"Sup3rsecret"}`,
			"line break in email":  `{"email":"a@example.org\r\nBcc: b@example.org","password":"Sup3rsecret"}`,
			"password too short":   `{"email":"ada@example.org","password":"Ab3"}`,
			"password too simple":  `{"email":"ada@example.org","password":"aaaaaaaaaa"}`,
			"password too long":    `{"email":"ada@example.org","password":"Aa3` + strings.Repeat("x", 200) + `"}`,
			"password is a number": `{"email":"ada@example.org","password":12345678}`,
			"unknown field":        `{"email":"ada@example.org","password":"Sup3rsecret","role":"admin"}`,
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
			t.Errorf("control characters in the name %q", user["name"])
		}
	})
}

// TestOversizedBodyIsCutOff sends a body without a declared length that is much too
// long.
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
	if err == nil { // otherwise the connection was cut before everything was written
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("status %d, want 413", resp.StatusCode)
		}
	}
	if got := s.history("ada", id); len(got) != 0 {
		t.Errorf("%d messages were stored", len(got))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
