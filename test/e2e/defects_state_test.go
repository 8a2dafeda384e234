package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// The rows about messages that were lost, doubled or misplaced, and about state
// that was missing or wrong.

// TestD12D13RESTSendIsAcknowledgedAndReadable; sent again, it is the same one.
func TestD12D13RESTSendIsAcknowledgedAndReadable(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		send := func(body map[string]any) response {
			return s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", body)
		}
		once := map[string]any{"content": "once", "client_id": "key"}
		first := send(once).field(t, "id")
		for range 3 {
			if again := send(once).field(t, "id"); again != first {
				t.Errorf("sent again it is %s, and was %s", again, first)
			}
		}
		send(map[string]any{"content": "without a key"})
		if got := s.history("bob", id); !slices.Equal(got, []string{"once", "without a key"}) {
			t.Errorf("the history is %q", got)
		}
	})
}

// TestD17TwoServersShareOneHistory: two servers on one database share every
// message and every order. What one of them commits is heard at the other, in its
// place, as soon as anything happens there. (Nothing carries it there at once.)
func TestD17TwoServersShareOneHistory(t *testing.T) {
	t.Parallel()
	database := "database-url=" + pgtest.Database(t)
	a := serve(t, database, "auth=none")
	b := serve(t, database, "auth=none")
	id := a.channel("ada", "bob", "eve")
	ada, bob, eve := a.dial("ada"), b.dial("bob"), b.dial("eve")
	if ada.hello.Epoch != bob.hello.Epoch {
		t.Errorf("two histories: %s and %s", ada.hello.Epoch, bob.hello.Epoch)
	}
	var sending sync.WaitGroup
	for who, c := range map[string]*client{"ada": ada, "bob": bob} {
		sending.Go(func() {
			for i := range 20 {
				c.send(id, fmt.Sprint(who, i))
			}
		})
	}
	sending.Wait()
	ada.send(id, "last at one")
	bob.send(id, "last at the other")
	for who, c := range map[string]*client{"bob": bob, "eve": eve} {
		for seq := int64(2); seq <= 43; seq++ {
			if got := c.expect("message", nil); got.Seq != seq {
				t.Fatalf("%s got seq %d, want %d", who, got.Seq, seq)
			}
		}
	}
	if one, other := a.history("eve", id), b.history("eve", id); !slices.Equal(one, other) || len(one) != 42 {
		t.Errorf("two histories:\n%q\n%q", one, other)
	}
	moved := a.resumeFrom("bob", chat.FormatCursors(bob.hello.Epoch, map[chat.ID]chat.Seq{chat.MustParseID(id): 1}))
	ada.send(id, "something happens here")
	for seq := int64(2); seq <= 44; seq++ {
		if got := moved.expect("message", nil); got.Seq != seq {
			t.Fatalf("at the other server got seq %d, want %d", got.Seq, seq)
		}
	}
}

// TestD18D19PagingSkipsNothing, whichever way the page before is asked for.
func TestD18D19PagingSkipsNothing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		ada := s.dial("ada")
		const n = 200
		for i := range n {
			ada.send(id, fmt.Sprint(i))
		}
		for name, next := range map[string]func(last chat.Message) string{
			"before_id": func(m chat.Message) string { return "&before_id=" + m.ID.String() },
			"an id":     func(m chat.Message) string { return "&before=" + m.ID.String() },
			"a time":    func(m chat.Message) string { return "&before=" + m.CreatedAt.String() },
		} {
			want, query := n-1, ""
			for {
				var page []chat.Message
				s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=50"+query, "ada", nil).into(t, &page)
				for _, m := range page {
					if m.Content != fmt.Sprint(want) {
						t.Fatalf("%s: got %q, want %d", name, m.Content, want)
					}
					want--
				}
				if len(page) == 0 {
					break
				}
				query = next(page[len(page)-1])
			}
			if want != -1 {
				t.Errorf("%s: %d messages were never shown", name, want+1)
			}
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3&after_seq=5", "ada", nil).into(t, &page)
		if contents(page) != "6 5 4" {
			t.Errorf("after a seq: %s", contents(page))
		}
	}, "limits.commands-per-second=100000", "limits.commands-burst=100000")
}

// TestD23LiveAndHistoryHaveOneOrder: what is heard live and what is read later have one order and
// one time, whichever door a message came by.
func TestD23LiveAndHistoryHaveOneOrder(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		users := []string{"ada", "eve", "joe"}
		id := s.channel("bob", users...)
		bob := s.dial("bob")
		const each = 20
		var sending sync.WaitGroup
		for _, u := range users {
			c := s.dial(u)
			sending.Go(func() {
				for i := range each {
					if i%2 == 0 {
						c.send(id, fmt.Sprint(u, i))
					} else {
						s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", u, map[string]any{
							"content": fmt.Sprint(u, i),
						})
					}
				}
			})
		}
		sending.Wait()
		var live []string
		for seq := int64(2); seq < 2+3*each; seq++ {
			f := bob.expect("message", nil)
			if f.Seq != seq {
				t.Fatalf("got seq %d, want %d", f.Seq, seq)
			}
			live = append(live, f.Data.Content)
		}
		for range 2 {
			if read := s.history("bob", id); !slices.Equal(read, live) {
				t.Errorf("heard\n%q\nread\n%q", live, read)
			}
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=100", "bob", nil).into(t, &page)
		heard := bob.dump()
		for _, m := range page {
			if !strings.Contains(heard, `"created_at":"`+m.CreatedAt.String()+`"`) {
				t.Errorf("%q has another time live than in history", m.Content)
			}
		}
	})
}

// TestD26EveryReplyCarriesItsRequestID, also when many are under way, and tells what
// was stored from what was not.
func TestD26EveryReplyCarriesItsRequestID(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id, foreign := s.channel("ada"), s.channel("eve")
		ada := s.dial("ada")
		const n = 30
		var want []string
		for i := range n {
			channel := id
			if i%3 == 0 {
				channel = foreign
			} else {
				want = append(want, fmt.Sprint(i))
			}
			ada.write(fmt.Sprintf(`{"type":"new_message","id":"r-%d","data":{"channel_id":"%s","content":"%d"}}`, i, channel, i))
		}
		for i := range n {
			f := ada.answer(fmt.Sprintf("r-%d", i), 0)
			if f.Event != "new_message" || (f.Type == "error") != (i%3 == 0) || f.Type == "error" && f.Code != "forbidden" {
				t.Errorf("the answer to %d is %s", i, f.raw)
			}
		}
		if got := s.history("ada", id); !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}

// eventually waits until f holds.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.After(waitTimeout)
	for !f() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			t.Fatalf("it never came to pass: %s", what)
		}
	}
}

// TestD36ClosedSocketsLeaveNothingBehind: neither sockets nor cursors nor channels.
func TestD36ClosedSocketsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		var here []*client
		for i := range 20 {
			c := s.dial([]string{"ada", "bob"}[i%2])
			c.ok("typing", map[string]any{"channel_id": id})
			c.ok("subscribe_presence", map[string]any{"channel_id": id})
			here = append(here, c)
		}
		if got := s.metric("chowk_hub_subscriptions"); got != 20 {
			t.Errorf("20 sockets in one channel have %v cursors", got)
		}
		for _, c := range here {
			_ = c.conn.CloseNow()
		}
		for _, name := range []string{"chowk_sockets", "chowk_hub_subscriptions", "chowk_hub_channels"} {
			eventually(t, name+" is 0", func() bool { return s.metric(name) == 0 })
		}
		var online struct{ Count int }
		s.must(http.StatusOK, http.MethodGet, "/channel/"+id+"/online-members", "ada", nil).into(t, &online)
		if online.Count != 0 {
			t.Errorf("%d are online", online.Count)
		}
	}, "canary.interval=0s")
}

// TestD37FailedConnectLeavesUserOffline.
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
		t.Fatalf("%v, %v", resp, err)
	}
	pg.Start()
	eventually(t, "bob is offline", func() bool {
		r := s.request(http.MethodGet, "/user/bob/status", "ada", nil)
		return r.status == http.StatusOK && r.field(t, "is_online") == "false"
	})
	_ = s.dial("bob").conn.CloseNow() // and comes in again as if nothing had been
	eventually(t, "bob is offline again", func() bool {
		return s.must(http.StatusOK, http.MethodGet, "/user/bob/status", "ada", nil).field(t, "is_online") == "false"
	})
}

// TestD38StarIsStored at both places where clients look for it, and goes again.
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

// TestD42PublicChannelsCanBeJoined, browsed, left, and their members seen.
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
				t.Errorf("browsing %q: %+v", query, found)
			}
		}
		if r := s.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/members", "bob", map[string]any{
			"user_ids": []string{"bob"},
		}); r.field(t, "message") != "Added 1 members" {
			t.Errorf("joining: %s", r.body)
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
			t.Errorf("one message: %q", got)
		}
		var members []chat.Member
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/members", "bob", nil).into(t, &members)
		if len(members) != 2 || members[0].Role != chat.RoleOwner || members[1].UserID != "bob" ||
			members[1].User.Name != "bob" {
			t.Errorf("the members are %+v", members)
		}
		s.must(http.StatusNoContent, http.MethodDelete, "/channels/"+id+"/members/bob", "bob", nil)
		ada.expect("member_left", func(f *frame) bool { return f.UserID == "bob" })
		s.must(http.StatusForbidden, http.MethodGet, "/channels/"+id+"/messages", "bob", nil)
	})
}

// TestD43MessagesIncludeUserNames over both ways, where the old page looks as well.
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
			t.Errorf("got %+v", u)
		}
	})
}

// account is somebody who signed up.
type account struct{ id, token, password string }

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

// TestD45MembersAreUnique, however often he is named.
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
				t.Errorf("got %s", r.body)
			}
		}
		if r := s.request(
			http.MethodPost, "/channels/direct", "ada", map[string]any{"user_id": "ada"},
		); r.status != http.StatusUnprocessableEntity {
			t.Errorf("a direct channel with oneself: %d %s", r.status, r.body)
		}
		for _, u := range []string{"ada", "bob"} {
			var all []chat.Channel
			s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil).into(t, &all)
			if len(all) != 1 || all[0].MemberCount != 2 {
				t.Errorf("%s has %+v", u, all)
			}
		}
	})
}

// TestD62NonObjectIsBadJSON, said in our own words.
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
