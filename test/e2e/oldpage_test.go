package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
)

// What the published front-end of the old system does, request by request and
// frame by frame: no subprotocol, no token on the socket, the user's id in its
// path, and every field that it reads.

const pageOrigin = "https://www.campuspandit.example"

// shape says of each field what the old page takes it for; ? lets it be null.
type shape map[string]string

var (
	oldUser = shape{
		"id": "uuid", "email": "string", "first_name": "string?", "last_name": "string?", "phone": "string?", "avatar_url": "string?",
		"role": "string", "is_active": "bool", "is_verified": "bool", "created_at": "time",
	}
	oldToken      = shape{"access_token": "string", "token_type": "string", "expires_in": "int", "user": "object"}
	oldMembership = shape{
		"user_id": "string", "role": "string", "is_starred": "bool", "is_muted": "bool", "notifications_enabled": "bool",
		"notification_level": "string", "unread_count": "int", "joined_at": "time", "last_read_at": "time?",
	}
	oldChannel = shape{
		"id": "uuid", "name": "string", "description": "string?", "channel_type": "string", "is_private": "bool", "is_archived": "bool",
		"created_by": "string", "tutor_id": "string?", "subject": "string?", "topic": "string?", "member_count": "int", "message_count": "int",
		"last_message_at": "time?", "created_at": "time", "updated_at": "time", "my_membership": "object",
		"unread_count": "int", "is_starred": "bool", // where the page looks for them
	}
	oldMessage = shape{
		"id": "uuid", "channel_id": "uuid", "user_id": "string", "content": "string", "message_type": "string", "parent_message_id": "uuid?",
		"thread_reply_count": "int", "thread_last_reply_at": "time?", "mentioned_user_ids": "array?", "file_url": "string?", "file_name": "string?",
		"file_type": "string?", "file_size": "int?", "is_edited": "bool", "edited_at": "time?", "is_deleted": "bool", "deleted_at": "time?",
		"is_pinned": "bool", "reaction_count": "int", "created_at": "time", "updated_at": "time", "reactions": "array", "user": "object",
	}
	oldFrames = map[string]shape{
		"connection":       {"status": "string", "user_id": "string", "timestamp": "time"},
		"message":          {"channel_id": "uuid", "data": "object", "timestamp": "time"},
		"typing":           {"channel_id": "uuid", "user_id": "string", "is_typing": "bool", "timestamp": "time"},
		"read_receipt":     {"channel_id": "uuid", "user_id": "string", "message_id": "uuid", "timestamp": "time"},
		"message_reaction": {"message_id": "uuid", "user_id": "string", "emoji": "string", "timestamp": "time"},
		"message_updated":  {"channel_id": "uuid", "message_id": "uuid", "content": "string", "timestamp": "time"},
		"message_deleted":  {"channel_id": "uuid", "message_id": "uuid", "timestamp": "time"},
		"ack":              {"event": "string", "response": "object", "timestamp": "time"},
		"error":            {"message": "string", "timestamp": "time"},
	}
	oldMessageData = shape{"id": "uuid", "channel_id": "uuid", "user_id": "string", "content": "string", "created_at": "time"}
)

// fits fails the test where an object is not of the shape. It may have more.
func (s shape) fits(t *testing.T, what string, v any) {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is no object: %v", what, v)
		return
	}
	for field, kind := range s {
		value, there := object[field]
		kind, nullable := strings.CutSuffix(kind, "?")
		if !there || value == nil && !nullable || value != nil && !isKind(value, kind) {
			t.Errorf("%s: %s should be %s, and is %v", what, field, kind, value)
		}
	}
}

func isKind(v any, kind string) (ok bool) {
	text, _ := v.(string)
	switch kind {
	case "string":
		_, ok = v.(string)
	case "bool":
		_, ok = v.(bool)
	case "array":
		_, ok = v.([]any)
	case "object":
		_, ok = v.(map[string]any)
	case "int":
		n, isNumber := v.(float64)
		ok = isNumber && n == float64(int64(n))
	case "uuid":
		_, err := chat.ParseID(text)
		ok = err == nil && text == strings.ToLower(text)
	case "time":
		_, err := time.Parse(time.RFC3339Nano, text)
		ok = err == nil && strings.HasSuffix(text, "Z")
	}
	return ok
}

func (r response) value(t *testing.T) (v any) {
	t.Helper()
	r.into(t, &v)
	return v
}

// fits holds a frame against the old shape of its type.
func (f frame) fits(t *testing.T) frame {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(f.raw), &v); err != nil {
		t.Fatal(err)
	}
	oldFrames[f.Type].fits(t, "the frame "+f.Type, v)
	if f.Type == "message" {
		oldMessageData.fits(t, "the frame's data", v.(map[string]any)["data"])
	}
	return f
}

// old sends an event as the page does, without an id, and gives the next answer.
func (c *client) old(kind string, data map[string]any) frame {
	c.t.Helper()
	envelope := map[string]any{"type": kind}
	if data != nil {
		envelope["data"] = data
	}
	b, err := json.Marshal(envelope)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	from := len(c.frames)
	c.mu.Unlock()
	c.write(string(b))
	return c.answer("", from).fits(c.t)
}

// TestTheOldPageTalks: two pages of the old system in one channel.
func TestTheOldPageTalks(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dialOld("ada"), s.dialOld("bob")
		ada.hello.fits(t)
		for _, c := range []*client{ada, bob} {
			if f := c.old("join_channel", map[string]any{"channel_id": id}); f.Event != "join_channel" || f.Response.Status != "joined" || !strings.Contains(f.raw, id) {
				t.Errorf("got %s", f.raw)
			}
		}
		if f := ada.old("ping", nil); f.Type != "pong" {
			t.Errorf("got %s", f.raw)
		}
		for _, isTyping := range []bool{true, false} {
			if f := ada.old("typing", map[string]any{"channel_id": id, "is_typing": isTyping}); f.Response.Status != "sent" {
				t.Errorf("got %s", f.raw)
			}
			bob.expect("typing", func(f *frame) bool { return f.IsTyping == isTyping }).fits(t)
		}

		sent := s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{"content": "by REST", "message_type": "text"})
		oldMessage.fits(t, "the answer to a send", sent.value(t))
		mid := sent.field(t, "id")
		for _, c := range []*client{ada, bob} {
			if f := c.expect("message", nil).fits(t); f.Data.ID != mid || f.Data.Content != "by REST" {
				t.Errorf("got %s", f.raw)
			}
		}

		ack := ada.old("new_message", map[string]any{"channel_id": id, "content": "by socket"})
		if ack.Event != "new_message" || ack.Response.Status != "sent" || ack.Response.MessageID == "" {
			t.Errorf("got %s", ack.raw)
		}
		bob.expect("message", func(f *frame) bool { return f.Data.ID == ack.Response.MessageID }).fits(t)

		if f := bob.old("read_receipt", map[string]any{"channel_id": id, "message_id": mid}); f.Response.Status != "sent" {
			t.Errorf("got %s", f.raw)
		}
		ada.expect("read_receipt", func(f *frame) bool { return f.UserID == "bob" && f.MessageID == mid }).fits(t)
		if f := bob.old("message_reaction", map[string]any{"channel_id": id, "message_id": mid, "emoji": "👍"}); f.Response.Status != "sent" {
			t.Errorf("got %s", f.raw)
		}
		for _, c := range []*client{ada, bob} { // the reactor too
			c.expect("message_reaction", func(f *frame) bool { return f.MessageID == mid && f.Emoji == "👍" }).fits(t)
		}

		s.must(http.StatusOK, http.MethodPatch, "/channels/"+id+"/messages/"+mid, "ada", map[string]any{"content": "edited"})
		bob.expect("message_updated", func(f *frame) bool { return f.MessageID == mid && f.Content == "edited" }).fits(t)
		s.must(http.StatusOK, http.MethodDelete, "/channels/"+id+"/messages/"+mid, "ada", nil)
		bob.expect("message_deleted", func(f *frame) bool { return f.MessageID == mid }).fits(t)

		if f := bob.old("leave_channel", map[string]any{"channel_id": id}); f.Response.Status != "left" {
			t.Errorf("got %s", f.raw)
		}
	}, "compat.campuspandit-page=true")
}

// TestD21D22TheOldPageShowsOneChannel: only the channel last joined brings it
// messages, its own once.
func TestD21D22TheOldPageShowsOneChannel(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		first, second := s.channel("ada", "bob"), s.channel("ada", "bob")
		bob := s.dialOld("bob")
		bob.old("join_channel", map[string]any{"channel_id": first})
		bob.old("join_channel", map[string]any{"channel_id": second})
		own := s.must(http.StatusCreated, http.MethodPost, "/channels/"+second+"/messages", "bob", map[string]any{"content": "own"}).field(t, "id")
		for i, channel := range []string{first, second, first, second} {
			s.must(http.StatusCreated, http.MethodPost, "/channels/"+channel+"/messages", "ada", map[string]any{"content": fmt.Sprint(i)})
		}
		for _, want := range []string{"own", "1", "3"} {
			if f := bob.expect("message", nil); f.Data.Content != want || f.ChannelID != second {
				t.Errorf("got %s, want %s", f.raw, want)
			}
		}
		bob.old("join_channel", map[string]any{"channel_id": first})
		s.must(http.StatusCreated, http.MethodPost, "/channels/"+first+"/messages", "ada", map[string]any{"content": "last"})
		if f := bob.expect("message", nil); f.Data.Content != "last" || f.ChannelID != first {
			t.Errorf("got %s", f.raw)
		}
		if n := strings.Count(bob.dump(), own); n != 1 {
			t.Errorf("the own message came %d times", n)
		}
	}, "compat.campuspandit-page=true")
}

// TestD20TheOldPageGetsHistoryInItsOrder: oldest first, page by page.
func TestD20TheOldPageGetsHistoryInItsOrder(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		for i := range 5 {
			s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{"content": fmt.Sprint(i)})
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3", "ada", nil).into(t, &page)
		if got := contents(page); got != "2 3 4" {
			t.Errorf("the newest page is %s", got)
		}
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3&before="+page[0].CreatedAt.String(), "ada", nil).into(t, &page)
		if got := contents(page); got != "0 1" {
			t.Errorf("the page before is %s", got)
		}
		if r := s.must(http.StatusOK, http.MethodDelete, "/channels/"+id+"/messages/"+page[0].ID.String(), "ada", nil); string(r.body) != "{}" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("a deletion is answered with %q", r.body) // the page reads JSON from every success
		}
	}, "compat.campuspandit-page=true")
}

func contents(page []chat.Message) string {
	texts := make([]string, len(page))
	for i, m := range page {
		texts[i] = m.Content
	}
	return strings.Join(texts, " ")
}

// TestOldRefusalsOverSockets have the texts that the old clients knew.
func TestOldRefusalsOverSockets(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		eve := s.dialOld("eve")
		unknown := chat.NewID().String()
		for _, c := range []struct {
			kind string
			data map[string]any
			want string
		}{
			{"new_message", map[string]any{"channel_id": id}, "Missing channel_id or content"},
			{"new_message", map[string]any{"channel_id": id, "content": "x"}, "Access denied to channel"},
			{"new_message", map[string]any{"channel_id": unknown, "content": "x"}, "Access denied to channel"},
			{"typing", map[string]any{}, "Missing channel_id"},
			{"typing", map[string]any{"channel_id": id}, "Access denied to channel"},
			{"read_receipt", map[string]any{"channel_id": id}, "Missing channel_id or message_id"},
			{"read_receipt", map[string]any{"channel_id": id, "message_id": unknown}, "Access denied to channel"},
			{"join_channel", map[string]any{}, "Missing channel_id"},
			{"join_channel", map[string]any{"channel_id": id}, "Access denied to channel"},
			{"leave_channel", map[string]any{}, "Missing channel_id"},
			{"message_reaction", map[string]any{"channel_id": id, "emoji": "x"}, "Missing required fields"},
			{"message_reaction", map[string]any{"channel_id": id, "message_id": unknown, "emoji": "x"}, "Access denied to channel"},
		} {
			if f := eve.old(c.kind, c.data); f.Type != "ack" || f.Event != c.kind || f.Response.Error != c.want {
				t.Errorf("%s %v: %s", c.kind, c.data, f.raw)
			}
		}
		for sent, want := range map[string]string{
			`{"type":"dance"}`: "Unknown event type: dance", `{"data":{}}`: "Unknown event type: None", `{`: "Invalid JSON format", `[]`: "Invalid JSON format",
		} {
			eve.write(sent)
			if f := eve.expect("error", nil).fits(t); f.Message != want {
				t.Errorf("%s: %s", sent, f.raw)
			}
		}
	})
}

// TestOldRESTAnswers, field by field and text by text.
func TestOldRESTAnswers(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		for _, u := range []string{"ada", "bob", "eve"} {
			s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil)
		}
		created := s.must(http.StatusCreated, http.MethodPost, "/channels/", "ada", map[string]any{
			"name": "algebra", "description": "d", "channel_type": "subject", "is_private": true, "subject": "maths", "topic": "t", "member_ids": []string{"bob"}, "tutor_id": "ada",
		})
		oldChannel.fits(t, "a new channel", created.value(t))
		oldMembership.fits(t, "its my_membership", created.value(t).(map[string]any)["my_membership"])
		id := created.field(t, "id")
		direct := s.must(http.StatusOK, http.MethodPost, "/channels/direct", "ada", map[string]any{"user_id": "bob"})
		oldChannel.fits(t, "a direct channel", direct.value(t))
		if direct.field(t, "name") != "DM-ada-bob" || direct.field(t, "channel_type") != "direct" || direct.field(t, "member_count") != "2" {
			t.Errorf("a direct channel is %s", direct.body)
		}
		for _, path := range []string{"/channels", "/channels/", "/channels/?include_archived=true"} {
			r := s.unfollowed(path, "bob")
			if r.status != http.StatusOK {
				t.Errorf("%s: %d", path, r.status)
			}
			list := r.value(t).([]any)
			if len(list) != 2 {
				t.Errorf("%s: %s", path, r.body)
			}
			oldChannel.fits(t, "a listed channel", list[0])
		}
		c := "/channels/" + id
		sent := s.must(http.StatusCreated, http.MethodPost, c+"/messages", "ada", map[string]any{
			"content": "see", "message_type": "file", "mentioned_user_ids": []string{"bob"}, "file_url": "https://files.example/a.pdf",
			"file_name": "a.pdf", "file_type": "application/pdf", "file_size": 12, "reply_to_nobody": 1,
		})
		oldMessage.fits(t, "a message", sent.value(t))
		m := c + "/messages/" + sent.field(t, "id")
		oldMessage.fits(t, "an edited message", s.must(http.StatusOK, http.MethodPatch, m, "ada", map[string]any{"content": "seen"}).value(t))
		oldMessage.fits(t, "a message in history", s.must(http.StatusOK, http.MethodGet, c+"/messages", "bob", nil).value(t).([]any)[0])

		const nobody, unknown = "/channels/0190a5e2-7b1c-7d3e-8f00-0123456789ab", "/messages/0190a5e2-7b1c-7d3e-8f00-0123456789ab"
		for _, e := range []struct {
			method, path, as string
			body             any
			status           int
			text             string // detail of a refusal, message of a success
		}{
			{"POST", c + "/members", "ada", map[string]any{"user_ids": []string{"eve", "bob"}}, 200, "Added 1 members"},
			{"DELETE", c + "/members/eve", "ada", nil, 204, ""},
			{"PATCH", c + "/members/me", "bob", map[string]any{"is_starred": true, "notification_level": "mentions", "role": "owner"}, 200, "Membership updated"},
			{"POST", c + "/read", "bob", nil, 200, "Marked as read"},
			{"POST", c + "/read", "bob", map[string]any{"message_id": sent.field(t, "id")}, 200, "Marked as read"},
			{"POST", m + "/reactions", "bob", map[string]any{"emoji": "👍"}, 200, "Reaction added"},
			{"POST", m + "/reactions", "bob", map[string]any{"emoji": "👍"}, 200, "Reaction already exists"},
			{"DELETE", m + "/reactions/%F0%9F%91%8D", "bob", nil, 200, "Reaction removed"},
			{"DELETE", m + "/reactions/%F0%9F%91%8D", "bob", nil, 200, "Reaction removed"},
			{"GET", c, "eve", nil, 403, "Not a member of this channel"},
			{"GET", nobody, "ada", nil, 403, "Not a member of this channel"},
			{"GET", c + "/messages", "eve", nil, 403, "Not a member of this channel"},
			{"POST", c + "/messages", "eve", map[string]any{"content": "x"}, 403, "Not a member of this channel"},
			{"POST", c + "/read", "eve", nil, 403, "Not a member of this channel"},
			{"PATCH", c + "/members/me", "eve", map[string]any{"is_muted": true}, 403, "Not a member of this channel"},
			{"PATCH", c, "bob", map[string]any{"name": "x"}, 403, "Only channel admins/owners can update channel"},
			{"POST", c + "/members", "bob", map[string]any{"user_ids": []string{"eve"}}, 403, "Only channel admins/owners can add members"},
			{"PATCH", m, "bob", map[string]any{"content": "x"}, 403, "Can only update your own messages"},
			{"DELETE", m, "bob", nil, 403, "Can only delete your own messages"},
			{"PATCH", c + unknown, "ada", map[string]any{"content": "x"}, 404, "Message not found"},
			{"DELETE", c + unknown, "ada", nil, 404, "Message not found"},
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
				t.Errorf("%s %s: no challenge", e.method, e.path)
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
			want.fits(t, path, r.value(t))
		}
		if status, body := fetch(t, s.url+"/health"); status != http.StatusOK || body == "" {
			t.Errorf("health: %d %s", status, body)
		}
	})
}

// unfollowed is a GET that follows no redirect.
func (s *server) unfollowed(path, token string) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/api/v1"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return s.roundTrip(&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, r)
}

// TestTheOldPageLogsIn: the cookie that a log-in sets opens the socket, whose
// address has no more than the user's id.
func TestTheOldPageLogsIn(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database, "compat.campuspandit-page=true", "origins="+pageOrigin, "cors.origins="+pageOrigin)
		page := []string{"Origin", pageOrigin}
		signup := map[string]any{"email": "ada@example.org", "password": "Sup3rsecret", "first_name": "Ada", "last_name": "L", "role": "student"}
		first := s.request(http.MethodPost, "/auth/signup", "", signup, page...)
		if first.status != http.StatusCreated {
			t.Fatalf("signing up: %d %s", first.status, first.body)
		}
		if again := s.request(http.MethodPost, "/auth/signup", "", signup, page...); again.status < 400 || again.field(t, "detail") != "Email already registered" {
			t.Errorf("signing up twice: %d %s", again.status, again.body)
		}
		login := map[string]any{"email": "ada@example.org", "password": "wrong"}
		if r := s.request(http.MethodPost, "/auth/login", "", login, page...); r.status != 401 || r.field(t, "detail") != "Invalid email or password" {
			t.Errorf("a wrong password: %d %s", r.status, r.body)
		}
		login["password"] = "Sup3rsecret"
		// The page sends the token that it still has, whatever became of it.
		in := s.request(http.MethodPost, "/auth/login", "a.stale.token", login, page...)
		for _, r := range []response{first, in} {
			v := r.value(t).(map[string]any)
			oldToken.fits(t, "a log-in", v)
			oldUser.fits(t, "its user", v["user"])
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
		if cookie.Name != "access_token" || cookie.Value != token.AccessToken || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.MaxAge <= 0 {
			t.Errorf("the cookie is %v", cookie)
		}
		if got := in.header.Get("Access-Control-Allow-Origin"); got != pageOrigin || in.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("a log-in is readable for %q", got)
		}
		s.must(http.StatusOK, http.MethodGet, "/channels/", token.AccessToken, nil)

		sent := "access_token=" + cookie.Value
		for _, c := range []struct {
			name, user string
			header     []string
			status     int // 0: the socket opens
		}{
			{"the cookie, from the same host", token.User.ID, []string{"Cookie", sent, "Origin", s.url}, 0},
			{"the cookie, from the page's origin", token.User.ID, []string{"Cookie", sent, "Origin", pageOrigin}, 0},
			{"the cookie, from elsewhere", token.User.ID, []string{"Cookie", sent, "Origin", "https://evil.example"}, 403},
			{"another's path", "somebody", []string{"Cookie", sent, "Origin", pageOrigin}, 403},
			{"the id alone", token.User.ID, page, 401},
			{"a cookie that is none", token.User.ID, []string{"Cookie", "access_token=chowk_x", "Origin", pageOrigin}, 401},
		} {
			socket, resp, err := s.tryDial("/ws/"+c.user, "", "", c.header...)
			if c.status == 0 {
				if err != nil {
					t.Errorf("%s: %v, %v", c.name, resp, err)
				} else if socket.hello.fits(t); socket.hello.UserID != token.User.ID {
					t.Errorf("%s: %s", c.name, socket.hello.raw)
				}
			} else if err == nil || resp == nil || resp.StatusCode != c.status {
				t.Errorf("%s: %v, %v", c.name, resp, err)
			}
		}
	})
}

// TestD58ErrorsCanBeReadByPagesOfOtherOrigins, and by no others.
func TestD58ErrorsCanBeReadByPagesOfOtherOrigins(t *testing.T) {
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
		if r.status != c.status || r.header.Get("Access-Control-Allow-Origin") != pageOrigin || r.header.Get("Access-Control-Allow-Credentials") != "true" {
			t.Errorf("%s %s: %d (want %d), %v", c.method, c.path, r.status, c.status, r.header)
		}
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Retry-After") || !strings.Contains(r.header.Get("Vary"), "Origin") {
			t.Errorf("%s %s: %v", c.method, c.path, r.header)
		}
		for _, other := range []string{"https://evil.example", "null", pageOrigin + ".evil.example", "http://www.campuspandit.example"} {
			if r := s.request(c.method, c.path, c.as, c.body, "Origin", other); r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s is readable for %s", c.method, c.path, other)
			}
		}
	}
	ask := []string{"Origin", pageOrigin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "authorization,content-type"}
	r := s.preflight("/channels/"+id, ask...)
	allowed := strings.ToLower(r.header.Get("Access-Control-Allow-Headers"))
	if r.status != http.StatusNoContent || r.header.Get("Access-Control-Allow-Origin") != pageOrigin ||
		!regexp.MustCompile(`\bPATCH\b`).MatchString(r.header.Get("Access-Control-Allow-Methods")) || !strings.Contains(allowed, "authorization") || !strings.Contains(allowed, "content-type") {
		t.Errorf("a preflight: %d %v", r.status, r.header)
	}
	ask[1] = "https://evil.example"
	if r := s.preflight("/channels/"+id, ask...); r.status != http.StatusForbidden || r.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a preflight from elsewhere: %d %v", r.status, r.header)
	}
}

// preflight asks what a browser asks before a request of another origin.
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

// TestTheOldPagesLoopIsBounded: it opens a socket on every render and closes few.
func TestTheOldPagesLoopIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "limits.sockets-per-user=5", "compat.campuspandit-page=true")
	id := s.channel("ada", "loop")
	ada := s.dial("ada")
	opened, refused := 0, 0
	for range 40 {
		if c, resp, err := s.tryDial("/ws/loop", "", ""); err == nil {
			opened++
			if opened%2 == 0 { // it replaces one, which it then forgets to close
				_ = c.conn.Close(websocket.StatusNormalClosure, "")
			}
		} else if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("%v, %v", resp, err)
		} else {
			refused++
		}
	}
	if refused == 0 || s.metric("chowk_sockets") > 6 {
		t.Errorf("%d refused, %v open", refused, s.metric("chowk_sockets"))
	}
	ada.send(id, "undisturbed")
}
