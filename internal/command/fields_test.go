package command

import (
	"reflect"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// TestFieldsBeyondTheirLimitsAreRefused, whatever their type.
func TestFieldsBeyondTheirLimitsAreRefused(t *testing.T) {
	type request struct {
		Bytes      string        `json:"bytes" max:"emoji"`
		Characters *string       `json:"characters" max:"name"`
		Users      []chat.UserID `json:"users" max:"mentions"`
		Map        map[int]int   `json:"map" max:"cursors"`
		User       chat.UserID   `json:"user"`
		Kind       string        `json:"kind" enum:"a,b"`
		Role       *chat.Role    `json:"role"`
		Count      int64         `json:"count"`
	}
	all := fieldsOf[request]()
	ptr := func(s string) *string { return &s }
	role := func(r chat.Role) *chat.Role { return &r }
	for _, c := range []struct {
		in    request
		field string // that is refused, "" if none is
		text  string
	}{
		{request{}, "", ""},
		{request{Bytes: strings.Repeat("x", 50), Characters: ptr(strings.Repeat("ä", 100))}, "", ""},
		{request{Bytes: strings.Repeat("ä", 26)}, "bytes", "bytes is too long: at most 50 bytes"},
		{request{Bytes: "\x00"}, "bytes", "bytes contains a NUL character, which cannot be stored"},
		{request{Bytes: "\xff"}, "bytes", "bytes is not valid UTF-8"},
		{request{Characters: ptr(strings.Repeat("x", 101))}, "characters", "characters is too long: at most 100 characters"},
		{request{Users: make([]chat.UserID, 51)}, "users", "users has too many entries: at most 50"},
		{
			request{Users: []chat.UserID{"ada", "a b"}},
			"users",
			"users contains an invalid user id: a user id has " + userIDRule,
		},
		{request{User: "a b"}, "user", "user must be a user id: " + userIDRule},
		{request{Kind: "b", Role: role(chat.RoleGuest)}, "", ""},
		{request{Kind: "c"}, "kind", "kind must be one of a, b"},
		{request{Role: role("god")}, "role", "role must be one of owner, admin, member, guest"},
		{request{Count: -1}, "count", "count must not be negative"},
	} {
		err := all.check(&c.in)
		if c.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.in, err)
			}
			continue
		}
		wantRefusal(t, c.text, err, chat.BadRequest, c.field)
		if err != nil && err.Error() != c.text {
			t.Errorf("the text is %q, want %q", err, c.text)
		}
	}
}

// TestRequestsHaveTheLimitsOfTheTable: the tags of the requests name limits that exist,
// and content that is too long has a code of its own.
func TestRequestsHaveTheLimitsOfTheTable(t *testing.T) {
	limited := 0
	for _, c := range Commands() {
		for _, sf := range reflect.VisibleFields(c.In) {
			if _, ok := chat.LimitOf(sf); ok {
				limited++
			}
		}
	}
	if limited < 10 {
		t.Errorf("%d fields have a limit", limited)
	}
	s, _ := newService()
	in := chat.SendRequest{
		ChannelID: channel, MessageBody: chat.MessageBody{Content: strings.Repeat("x", chat.MaxContent+1)},
	}
	_, err := s.SendMessage(t.Context(), ada, in)
	wantRefusal(t, "long content", err, chat.TooLarge, "content")
}
