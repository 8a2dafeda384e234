package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// Rows of docs/defects.md about state that was missing or wrong.

// eventually polls until f returns true.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(waitTimeout)
	for !f() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// TestD36ClosedSocketsLeaveNothingBehind checks that no sockets, cursors or channels
// remain in memory.
func TestD36ClosedSocketsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		var open []*client
		for i := range 20 {
			c := s.dial([]string{"ada", "bob"}[i%2])
			c.ok("typing", map[string]any{"channel_id": id})
			c.ok("subscribe_presence", map[string]any{"channel_id": id})
			open = append(open, c)
		}
		if got := s.metric("chowk_hub_subscriptions"); got != 20 {
			t.Errorf("20 sockets in one channel have %v cursors", got)
		}
		for _, c := range open {
			_ = c.conn.CloseNow()
		}
		for _, name := range []string{"chowk_sockets", "chowk_hub_subscriptions", "chowk_hub_channels"} {
			eventually(t, name+" is 0", func() bool { return s.metric(name) == 0 })
		}
		var online struct{ Count int }
		s.must(http.StatusOK, http.MethodGet, "/channel/"+id+"/online-members", "ada", nil).into(t, &online)
		if online.Count != 0 {
			t.Errorf("%d users are online, want 0", online.Count)
		}
	}, "canary.interval=0s")
}

func TestD37FailedConnectLeavesUserOffline(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	s := serve(t, "database-url="+pg.URL(), "auth=none")
	id := s.channel("ada", "bob")
	watcher := s.dial("ada")
	watcher.ok("subscribe_presence", map[string]any{"channel_id": id})
	pg.Stop()
	_, resp, err := s.tryDial("/ws/bob", "bob", chat.Protocol)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("connecting without a database: %v, %v; want status 503", resp, err)
	}
	pg.Start()
	eventually(t, "bob is offline", func() bool {
		r := s.request(http.MethodGet, "/user/bob/status", "ada", nil)
		return r.status == http.StatusOK && r.field(t, "is_online") == "false"
	})
	_ = s.dial("bob").conn.CloseNow() // bob can connect again
	eventually(t, "bob is offline again", func() bool {
		return s.must(http.StatusOK, http.MethodGet, "/user/bob/status", "ada", nil).field(t, "is_online") == "false"
	})
}

// TestD38StarIsStored checks both fields in which clients read it.
func TestD38StarIsStored(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		for _, starred := range []bool{true, false} {
			s.must(http.StatusOK, http.MethodPatch, "/channels/"+id+"/members/me", "ada", map[string]any{"is_starred": starred})
			for user, want := range map[string]bool{"ada": starred, "bob": false} {
				var c chat.Channel
				s.must(http.StatusOK, http.MethodGet, "/channels/"+id, user, nil).into(t, &c)
				if c.IsStarred != want || c.MyMembership.IsStarred != want {
					t.Errorf("%s sees %v and %v, want %v", user, c.IsStarred, c.MyMembership.IsStarred, want)
				}
			}
		}
	})
}

// TestD42PublicChannelsCanBeJoined finds, joins, reads and leaves a public channel.
func TestD42PublicChannelsCanBeJoined(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.must(http.StatusCreated, http.MethodPost, "/channels/", "ada", map[string]any{
			"name": "Harbour talk", "topic": "boats",
		}).field(t, "id")
		private := s.channel("ada")
		ada, bob := s.dial("ada"), s.dial("bob")
		var found []chat.Channel
		for _, query := range []string{"harb", "BOAT", ""} {
			s.must(http.StatusOK, http.MethodGet, "/channels/browse?query="+query, "bob", nil).into(t, &found)
			if len(found) != 1 || found[0].ID.String() != id || found[0].MyMembership != nil {
				t.Errorf("browsing %q: got %+v, want only %s", query, found, id)
			}
		}
		if r := s.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/members", "bob", map[string]any{
			"user_ids": []string{"bob"},
		}); r.field(t, "message") != "Added 1 members" {
			t.Errorf("joining: got %s, want one added member", r.body)
		}
		s.must(http.StatusForbidden, http.MethodPost, "/channels/"+private+"/members", "bob", map[string]any{
			"user_ids": []string{"bob"},
		})
		bob.expect("channel_joined", func(f *frame) bool { return f.ChannelID == id })
		ada.expect("member_joined", func(f *frame) bool { return f.UserID == "bob" && f.Role == "member" })
		mid := ada.send(id, "welcome").Response.MessageID
		bob.expect("message", nil)
		if got := s.must(
			http.StatusOK, http.MethodGet, "/channels/"+id+"/messages/"+mid, "bob", nil,
		).field(t, "content"); got != "welcome" {
			t.Errorf("the message has the content %q, want welcome", got)
		}
		var members []chat.Member
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/members", "bob", nil).into(t, &members)
		var names []string
		for _, m := range members {
			names = append(names, fmt.Sprintf("%s %s %s", m.UserID, m.User.Name, m.Role))
		}
		if diff := cmp.Diff([]string{"ada ada owner", "bob bob member"}, names); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
		s.must(http.StatusNoContent, http.MethodDelete, "/channels/"+id+"/members/bob", "bob", nil)
		ada.expect("member_left", func(f *frame) bool { return f.UserID == "bob" })
		s.must(http.StatusForbidden, http.MethodGet, "/channels/"+id+"/messages", "bob", nil)
	})
}

// TestD43MessagesIncludeUserNames checks frames and history, including the fields that
// the old page reads.
func TestD43MessagesIncludeUserNames(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, database string) {
		s := serve(t, database)
		ada := s.signUp("ada@example.org", "Ada", "Lovelace")
		id := s.must(
			http.StatusCreated, http.MethodPost, "/channels/", ada.token, map[string]any{"name": "names"},
		).field(t, "id")
		socket := s.dialAs("/ws/"+ada.id, ada.token, "")
		s.must(
			http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", ada.token, map[string]any{"content": "hello"},
		)
		if f := socket.expect("message", nil); strings.Count(f.raw, `"name":"Ada Lovelace"`) != 2 {
			t.Errorf("got %s", f.raw)
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages", ada.token, nil).into(t, &page)
		if u := page[0].User; u == nil || u.Name != "Ada Lovelace" || u.RawUserMetaData.Name != "Ada Lovelace" {
			t.Errorf("the user of the message is %+v, want Ada Lovelace", u)
		}
	})
}

// account is an account that signUp created.
type account struct{ id, token, password string }

// signUp creates an account and logs in.
func (s *server) signUp(email, first, last string) account {
	s.t.Helper()
	const password = "Sup3rsecret"
	var a struct {
		AccessToken string `json:"access_token"`
		User        struct{ ID string }
	}
	s.must(http.StatusCreated, http.MethodPost, "/auth/signup", "", map[string]any{
		"email": email, "password": password, "first_name": first, "last_name": last,
	}).into(s.t, &a)
	return account{a.User.ID, a.AccessToken, password}
}

// TestD45MembersAreUnique names users repeatedly, in one call and in several.
func TestD45MembersAreUnique(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		s.must(http.StatusOK, http.MethodGet, "/channels/", "bob", nil)
		id := s.must(http.StatusCreated, http.MethodPost, "/channels/", "ada",
			map[string]any{"name": "twice", "member_ids": []string{"bob", "ada", "bob"}}).field(t, "id")
		for range 2 {
			if r := s.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/members", "ada", map[string]any{
				"user_ids": []string{"bob", "bob"},
			}); r.field(t, "message") != "Added 0 members" {
				t.Errorf("adding members again: got %s, want 0 added", r.body)
			}
		}
		if r := s.request(
			http.MethodPost, "/channels/direct", "ada", map[string]any{"user_id": "ada"},
		); r.status != http.StatusUnprocessableEntity {
			t.Errorf("a direct channel with oneself: status %d, want 422: %s", r.status, r.body)
		}
		for _, u := range []string{"ada", "bob"} {
			var all []chat.Channel
			s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil).into(t, &all)
			if len(all) != 1 || all[0].MemberCount != 2 {
				t.Errorf("%s has the channels %+v, want one with 2 members", u, all)
			}
		}
	})
}

// TestD62NonObjectIsBadJSON checks that the message is not that of a JSON library.
func TestD62NonObjectIsBadJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, "auth=none", "data-dir="+filepath.Join(t.TempDir(), "d"))
	for _, c := range []*client{s.dial("ada"), s.dialOld("ada")} {
		for _, sent := range []string{`[]`, `"x"`, `7`, `null`, `true`, ``} {
			c.write(sent)
			if f := c.expect("error", nil); f.Code != "bad_json" && f.Code != "unknown_event" ||
				strings.Contains(f.Message, "attribute") {
				t.Errorf("%q: %s", sent, f.raw)
			}
		}
		c.ask("ping", nil)
	}
}
