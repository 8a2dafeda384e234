package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/chowk-chat/chowk/chat"
)

// These tests make the requests of the old system's published web page: no subprotocol,
// no token on the socket, the user's id in its path. They check every field that the
// page reads.

const pageOrigin = "https://www.campuspandit.example"

// shape has the type that the old page expects of each field; a ? allows null.
type shape map[string]string

var (
	oldUser = shape{
		"id": "uuid", "email": "string", "first_name": "string?", "last_name": "string?", "phone": "string?",
		"avatar_url": "string?",
		"role":       "string", "is_active": "bool", "is_verified": "bool", "created_at": "time",
	}
	oldToken      = shape{"access_token": "string", "token_type": "string", "expires_in": "int", "user": "object"}
	oldMembership = shape{
		"user_id": "string", "role": "string", "is_starred": "bool", "is_muted": "bool", "notifications_enabled": "bool",
		"notification_level": "string", "unread_count": "int", "joined_at": "time", "last_read_at": "time?",
	}
	oldChannel = shape{
		"id": "uuid", "name": "string", "description": "string?", "channel_type": "string", "is_private": "bool",
		"is_archived": "bool",
		"created_by":  "string", "tutor_id": "string?", "subject": "string?", "topic": "string?", "member_count": "int",
		"message_count":   "int",
		"last_message_at": "time?", "created_at": "time", "updated_at": "time", "my_membership": "object",
		"unread_count": "int", "is_starred": "bool", // the page reads these fields
	}
	oldMessage = shape{
		"id": "uuid", "channel_id": "uuid", "user_id": "string", "content": "string", "message_type": "string",
		"parent_message_id":  "uuid?",
		"thread_reply_count": "int", "thread_last_reply_at": "time?", "mentioned_user_ids": "array?", "file_url": "string?",
		"file_name": "string?",
		"file_type": "string?", "file_size": "int?", "is_edited": "bool", "edited_at": "time?", "is_deleted": "bool",
		"deleted_at": "time?",
		"is_pinned":  "bool", "reaction_count": "int", "created_at": "time", "updated_at": "time", "reactions": "array",
		"user": "object",
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
	oldMessageData = shape{
		"id": "uuid", "channel_id": "uuid", "user_id": "string", "content": "string", "created_at": "time",
	}
)

// check fails the test for each field that is not of the shape. Other fields are allowed.
func (s shape) check(t *testing.T, what string, v any) {
	t.Helper()
	object, ok := v.(map[string]any)
	if !ok {
		t.Errorf("%s is not an object: %v", what, v)
		return
	}
	for field, kind := range s {
		value, there := object[field]
		kind, nullable := strings.CutSuffix(kind, "?")
		if !there || value == nil && !nullable || value != nil && !isKind(value, kind) {
			t.Errorf("%s: the field %s is not a %s: %v", what, field, kind, value)
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

// check validates a frame against the old shape of its type.
func (f frame) check(t *testing.T) frame {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(f.raw), &v); err != nil {
		t.Fatal(err)
	}
	oldFrames[f.Type].check(t, "the frame "+f.Type, v)
	if f.Type == "message" {
		oldMessageData.check(t, "the frame's data", v.(map[string]any)["data"])
	}
	return f
}

// askOld sends a command as the page does, without an id, and returns the next reply.
func (c *client) askOld(kind string, data map[string]any) frame {
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
	return c.answer("", from).check(c.t)
}

// TestOldPageChats opens two pages of the old system in one channel.
func TestOldPageChats(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dialOld("ada"), s.dialOld("bob")
		ada.hello.check(t)
		for _, c := range []*client{ada, bob} {
			if f := c.askOld("join_channel", map[string]any{"channel_id": id}); f.Event != "join_channel" ||
				f.Response.Status != "joined" || !strings.Contains(f.raw, id) {
				t.Errorf("got %s", f.raw)
			}
		}
		if f := ada.askOld("ping", nil); f.Type != "pong" {
			t.Errorf("got %s", f.raw)
		}
		for _, isTyping := range []bool{true, false} {
			if f := ada.askOld("typing", map[string]any{"channel_id": id, "is_typing": isTyping}); f.Response.Status != "sent" {
				t.Errorf("got %s", f.raw)
			}
			bob.expect("typing", func(f *frame) bool { return f.IsTyping == isTyping }).check(t)
		}

		sent := s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{
			"content": "by REST", "message_type": "text",
		})
		oldMessage.check(t, "the answer to a send", sent.value(t))
		mid := sent.field(t, "id")
		for _, c := range []*client{ada, bob} {
			if f := c.expect("message", nil).check(t); f.Data.ID != mid || f.Data.Content != "by REST" {
				t.Errorf("got %s", f.raw)
			}
		}

		ack := ada.askOld("new_message", map[string]any{"channel_id": id, "content": "by socket"})
		if ack.Event != "new_message" || ack.Response.Status != "sent" || ack.Response.MessageID == "" {
			t.Errorf("got %s", ack.raw)
		}
		bob.expect("message", func(f *frame) bool { return f.Data.ID == ack.Response.MessageID }).check(t)

		if f := bob.askOld("read_receipt", map[string]any{"channel_id": id, "message_id": mid}); f.Response.Status != "sent" {
			t.Errorf("got %s", f.raw)
		}
		ada.expect("read_receipt", func(f *frame) bool { return f.UserID == "bob" && f.MessageID == mid }).check(t)
		if f := bob.askOld("message_reaction", map[string]any{
			"channel_id": id, "message_id": mid, "emoji": "👍",
		}); f.Response.Status != "sent" {
			t.Errorf("got %s", f.raw)
		}
		for _, c := range []*client{ada, bob} { // including the author of the reaction
			c.expect("message_reaction", func(f *frame) bool { return f.MessageID == mid && f.Emoji == "👍" }).check(t)
		}

		s.must(http.StatusOK, http.MethodPatch, "/channels/"+id+"/messages/"+mid, "ada", map[string]any{"content": "edited"})
		bob.expect("message_updated", func(f *frame) bool { return f.MessageID == mid && f.Content == "edited" }).check(t)
		s.must(http.StatusOK, http.MethodDelete, "/channels/"+id+"/messages/"+mid, "ada", nil)
		bob.expect("message_deleted", func(f *frame) bool { return f.MessageID == mid }).check(t)

		if f := bob.askOld("leave_channel", map[string]any{"channel_id": id}); f.Response.Status != "left" {
			t.Errorf("got %s", f.raw)
		}
	}, "compat.campuspandit-page=true")
}

// TestD21D22OldPageReceivesOneChannel checks that the page receives messages only of
// the channel it joined last, and its own messages once.
func TestD21D22OldPageReceivesOneChannel(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		first, second := s.channel("ada", "bob"), s.channel("ada", "bob")
		bob := s.dialOld("bob")
		bob.askOld("join_channel", map[string]any{"channel_id": first})
		bob.askOld("join_channel", map[string]any{"channel_id": second})
		own := s.must(
			http.StatusCreated, http.MethodPost, "/channels/"+second+"/messages", "bob", map[string]any{"content": "own"},
		).field(t, "id")
		for i, channel := range []string{first, second, first, second} {
			s.must(http.StatusCreated, http.MethodPost, "/channels/"+channel+"/messages", "ada", map[string]any{
				"content": fmt.Sprint(i),
			})
		}
		for _, want := range []string{"own", "1", "3"} {
			if f := bob.expect("message", nil); f.Data.Content != want || f.ChannelID != second {
				t.Errorf("got %s, want %s", f.raw, want)
			}
		}
		bob.askOld("join_channel", map[string]any{"channel_id": first})
		s.must(http.StatusCreated, http.MethodPost, "/channels/"+first+"/messages", "ada", map[string]any{"content": "last"})
		if f := bob.expect("message", nil); f.Data.Content != "last" || f.ChannelID != first {
			t.Errorf("got %s", f.raw)
		}
		if n := strings.Count(bob.dump(), own); n != 1 {
			t.Errorf("the user's own message arrived %d times, want once", n)
		}
	}, "compat.campuspandit-page=true")
}

// TestD20OldPageHistoryIsOldestFirst checks the order within each page.
func TestD20OldPageHistoryIsOldestFirst(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		for i := range 5 {
			s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{
				"content": fmt.Sprint(i),
			})
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3", "ada", nil).into(t, &page)
		if got := contents(page); got != "2 3 4" {
			t.Errorf("the latest page is %s, want 2 3 4", got)
		}
		s.must(
			http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3&before="+page[0].CreatedAt.String(), "ada", nil,
		).into(t, &page)
		if got := contents(page); got != "0 1" {
			t.Errorf("the page before is %s, want 0 1", got)
		}
		if r := s.must(
			http.StatusOK, http.MethodDelete, "/channels/"+id+"/messages/"+page[0].ID.String(), "ada", nil,
		); string(r.body) != "{}" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("the reply to a deletion is %q, want {}", r.body) // the page parses every success as JSON
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

// TestOldPageRefusalTexts checks the error texts that old clients know.
func TestOldPageRefusalTexts(t *testing.T) {
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
			{
				"message_reaction",
				map[string]any{"channel_id": id, "message_id": unknown, "emoji": "x"},
				"Access denied to channel",
			},
		} {
			if f := eve.askOld(c.kind, c.data); f.Type != "ack" || f.Event != c.kind || f.Response.Error != c.want {
				t.Errorf("%s %v: got %s, want %q", c.kind, c.data, f.raw, c.want)
			}
		}
		for sent, want := range map[string]string{
			`{"type":"dance"}`: "Unknown event type: dance", `{"data":{}}`: "Unknown event type: None",
			`{`: "Invalid JSON format", `[]`: "Invalid JSON format",
		} {
			eve.write(sent)
			if f := eve.expect("error", nil).check(t); f.Message != want {
				t.Errorf("%s: got %s, want %q", sent, f.raw, want)
			}
		}
	})
}

// TestOldPageReconnectLoopIsBounded opens sockets as the page does: one with every
// render, of which it closes few.
func TestOldPageReconnectLoopIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "limits.sockets-per-user=5", "compat.campuspandit-page=true")
	id := s.channel("ada", "loop")
	ada := s.dial("ada")
	opened, refused := 0, 0
	for range 40 {
		if c, resp, err := s.tryDial("/ws/loop", "", ""); err == nil {
			opened++
			if opened%2 == 0 { // the page closes only some of its sockets
				_ = c.conn.Close(websocket.StatusNormalClosure, "")
			}
		} else if resp == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("refused with %v, %v; want status 429", resp, err)
		} else {
			refused++
		}
	}
	if refused == 0 || s.metric("chowk_sockets") > 6 {
		t.Errorf("%d sockets were refused and %v are open, want at most 6 open", refused, s.metric("chowk_sockets"))
	}
	ada.send(id, "undisturbed")
}
