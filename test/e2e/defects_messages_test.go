package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/testkit/pgtest"
)

// Rows of docs/defects.md about messages that were lost, duplicated or reordered.

// TestD12D13RESTSendIsAcknowledgedAndReadable checks that a message sent again with
// its client_id remains one message.
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
				t.Errorf("sent again, the message has id %s, want %s", again, first)
			}
		}
		send(map[string]any{"content": "without a key"})
		if got := s.history("bob", id); !slices.Equal(got, []string{"once", "without a key"}) {
			t.Errorf("the history is %q", got)
		}
	})
}

// TestD17TwoServersShareOneHistory runs two servers without a relay on one database:
// they have every message in the same order. A message committed on one reaches the
// sockets of the other, at its position, with the next activity there.
func TestD17TwoServersShareOneHistory(t *testing.T) {
	t.Parallel()
	database := "database-url=" + pgtest.Database(t)
	a := serve(t, database, "auth=none")
	b := serve(t, database, "auth=none")
	id := a.channel("ada", "bob", "eve")
	ada, bob, eve := a.dial("ada"), b.dial("bob"), b.dial("eve")
	if ada.hello.Epoch != bob.hello.Epoch {
		t.Errorf("two epochs: %s and %s", ada.hello.Epoch, bob.hello.Epoch)
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
	ada.send(id, "last on the first server")
	bob.send(id, "last on the second server")
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
	ada.send(id, "activity here")
	for seq := int64(2); seq <= 44; seq++ {
		if got := moved.expect("message", nil); got.Seq != seq {
			t.Fatalf("on the other server got seq %d, want %d", got.Seq, seq)
		}
	}
}

// TestD18D19PagingSkipsNothing pages through a channel with each form of cursor.
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
			"before_id":      func(m chat.Message) string { return "&before_id=" + m.ID.String() },
			"before, an id":  func(m chat.Message) string { return "&before=" + m.ID.String() },
			"before, a time": func(m chat.Message) string { return "&before=" + m.CreatedAt.String() },
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
				t.Errorf("%s: %d messages were skipped", name, want+1)
			}
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=3&after_seq=5", "ada", nil).into(t, &page)
		if contents(page) != "6 5 4" {
			t.Errorf("after seq 5: got %s, want 6 5 4", contents(page))
		}
	}, "limits.commands-per-second=100000", "limits.commands-burst=100000")
}

// TestD23LiveAndHistoryHaveOneOrder checks that live messages and history have the
// same order and times, for messages sent over sockets and over REST.
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
				t.Errorf("live\n%q\nhistory\n%q", live, read)
			}
		}
		var page []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?limit=100", "bob", nil).into(t, &page)
		received := bob.dump()
		for _, m := range page {
			if !strings.Contains(received, `"created_at":"`+m.CreatedAt.String()+`"`) {
				t.Errorf("the live time of %q differs from its time in history", m.Content)
			}
		}
	})
}

// TestD26EveryReplyCarriesItsRequestID sends many commands at once, some of which are
// refused.
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
				t.Errorf("the reply to %d is %s", i, f.raw)
			}
		}
		if got := s.history("ada", id); !slices.Equal(got, want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}
