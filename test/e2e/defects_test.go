package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

// Rows of docs/defects.md that concern a server; each test has the id of its row.

// TestD01SimultaneousDisconnects closes many sockets at the same moment; the server
// must keep working.
func TestD01SimultaneousDisconnects(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		for _, n := range []int{2, 5, 20} {
			var clients []*client
			for i := range n {
				clients = append(clients, s.dial([]string{"ada", "bob"}[i%2]))
			}
			var closing sync.WaitGroup
			for i, c := range clients {
				closing.Go(func() {
					if i%2 == 0 {
						_ = c.conn.CloseNow() // without a close handshake
					} else {
						_ = c.conn.Close(1000, "")
					}
				})
			}
			closing.Wait()
			next := s.dial("ada")
			next.send(id, fmt.Sprint(n))
		}
	})
}

// TestD02ReconnectLoopIsBounded opens sockets of one user without closing any; other
// users are not affected.
func TestD02ReconnectLoopIsBounded(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "loop")
		ada := s.dial("ada")
		refused := 0
		for range 30 { // none of them is closed
			if _, resp, err := s.tryDial("/ws/loop", "loop", chat.Protocol); err != nil {
				refused++
				if resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
					t.Fatalf("refused with %v, %v", resp, err)
				}
			}
		}
		if refused != 20 {
			t.Errorf("%d of 30 sockets were refused, want 20", refused)
		}
		ada.send(id, "undisturbed")
	}, "limits.sockets-per-user=10")
}

// TestD03StalledReaderAffectsNoOtherClient checks that acks, deliveries and new
// connections continue while one client does not read.
func TestD03StalledReaderAffectsNoOtherClient(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		users := []string{"ada", "bob", "stalled"}
		id := s.channel(users[0], users[1:]...)
		ada, bob := s.dial("ada"), s.dial("bob")
		stalled := dialRaw(t, s, "stalled")
		big := strings.Repeat("x", 16<<10)
		const n = 700 // 11 MiB: more than a socket's buffers hold
		for i := range n {
			ada.send(id, fmt.Sprint(i, " ", big)[:16<<10])
		}
		for range n {
			bob.expect("message", nil)
		}
		s.dial("bob") // new sockets can connect
		s.must(http.StatusOK, http.MethodGet, "/channels/", "bob", nil)
		seqs := stalled.seqs(t, n)
		for i, seq := range seqs {
			if seq != int64(i)+2 {
				t.Fatalf("the stalled reader got seq %d, want %d", seq, i+2)
			}
		}
	}, "limits.commands-per-second=100000", "limits.commands-burst=100000")
}

func TestD16ConnectsAndDisconnectsDuringBroadcast(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob", "eve")
		ada, bob := s.dial("ada"), s.dial("bob")
		stop := make(chan struct{})
		var connecting sync.WaitGroup
		connecting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c := s.dial("eve")
				_ = c.conn.CloseNow()
			}
		})
		for i := range 200 {
			ada.send(id, fmt.Sprint(i))
		}
		close(stop)
		connecting.Wait()
		for i := range 200 {
			if got := bob.expect("message", nil); got.Seq != int64(i)+2 {
				t.Fatalf("got seq %d, want %d", got.Seq, i+2)
			}
		}
	}, "limits.commands-per-second=100000", "limits.commands-burst=100000")
}

func TestD24IDsAreCaseInsensitive(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		ada.send(strings.ToUpper(id), "shouted")
		if got := bob.expect("message", nil); got.ChannelID != id {
			t.Errorf("got %s", got.raw)
		}
	})
}

func TestD25SocketSendKeepsThreadTypeAndMentions(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada := s.dial("ada")
		parent := ada.send(id, "question").Response.MessageID
		reply := ada.ok("new_message", map[string]any{
			"channel_id": id, "content": "answer", "parent_message_id": parent, "message_type": "code",
			"mentioned_user_ids": []string{"bob"},
		}).Response.MessageID
		var m chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages/"+reply, "bob", nil).into(t, &m)
		if m.ParentMessageID == nil || m.ParentMessageID.String() != parent {
			t.Errorf("the parent is %v, want %s", m.ParentMessageID, parent)
		}
		if m.MessageType != chat.Source {
			t.Errorf("the type is %s, want code", m.MessageType)
		}
		if diff := cmp.Diff([]chat.UserID{"bob"}, m.MentionedUserIDs); diff != "" {
			t.Errorf("mentions (-want +got):\n%s", diff)
		}
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages/"+parent, "bob", nil).into(t, &m)
		if m.ThreadReplyCount != 1 || m.ThreadLastReplyAt == nil {
			t.Errorf("the parent has %d replies", m.ThreadReplyCount)
		}
		var thread []chat.Message
		s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?parent_id="+parent, "bob", nil).into(t, &thread)
		if len(thread) != 1 || thread[0].Content != "answer" { // D-19
			t.Errorf("the thread is %+v, want only the answer", thread)
		}
	})
}

func TestD32ReceiptsAreStoredAndCannotBeForged(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id, other := s.channel("ada", "bob"), s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		here, there := ada.send(id, "here"), ada.send(other, "there")
		for _, data := range []map[string]any{
			{"channel_id": id, "message_id": chat.NewID().String()},
			{"channel_id": id, "message_id": there.Response.MessageID},
		} {
			if f := bob.ask("read_receipt", data); f.Code != "not_found" {
				t.Errorf("receipt %v: got %s, want not_found", data, f.raw)
			}
		}
		bob.write(`{"type":"read_receipt","id":"x","data":{"channel_id":"` + id + `","message_id":{"x":1}}}`)
		if f := bob.answer("x", 0); f.Code != "bad_request" || f.Field != "message_id" {
			t.Errorf("got %s", f.raw)
		}
		bob.ok("read_receipt", map[string]any{"channel_id": id, "message_id": here.Response.MessageID})
		again := s.dial("bob")
		for _, st := range again.hello.Channels {
			if st.ID.String() == id && st.LastReadSeq != here.Response.Seq {
				t.Errorf("the receipt is not stored; after a reconnect: %s", again.hello.raw)
			}
		}
	})
}

func TestD33ReactionCountsOnceAndCanBeRemoved(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada := s.dial("ada")
		mid := ada.send(id, "like me").Response.MessageID
		react := map[string]any{"channel_id": id, "message_id": mid, "emoji": "👍"}
		for range 3 {
			ada.ok("message_reaction", react)
		}
		var m chat.Message
		load := func() {
			m = chat.Message{}
			s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages/"+mid, "bob", nil).into(t, &m)
		}
		if load(); m.ReactionCount != 1 || len(m.Reactions) != 1 || m.Reactions[0].Emoji != "👍" {
			t.Errorf("%d reactions: %+v; want one 👍", m.ReactionCount, m.Reactions)
		}
		ada.ok("remove_reaction", react)
		ada.ok("remove_reaction", react)
		if load(); m.ReactionCount != 0 || len(m.Reactions) != 0 {
			t.Errorf("%d reactions: %+v; want none", m.ReactionCount, m.Reactions)
		}
	})
}

func TestD41DeletedAndArchivedAreReadOnly(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada := s.dial("ada")
		mid := ada.send(id, "gone").Response.MessageID
		ada.ok("delete_message", map[string]any{"channel_id": id, "message_id": mid})
		if f := ada.ask("edit_message", map[string]any{
			"channel_id": id, "message_id": mid, "content": "back",
		}); f.Code != "not_found" {
			t.Errorf("editing a deleted message: got %s, want not_found", f.raw)
		}
		s.must(http.StatusOK, http.MethodPatch, "/channels/"+id, "ada", map[string]any{"is_archived": true})
		if f := ada.ask("new_message", map[string]any{"channel_id": id, "content": "late"}); f.Code != "conflict" {
			t.Errorf("sending to an archived channel: got %s, want conflict", f.raw)
		}
	})
}

func TestD44OneDirectChannelPerPair(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		for round := range 10 {
			a, b := fmt.Sprintf("a%d", round), fmt.Sprintf("b%d", round)
			for _, u := range []string{a, b} {
				s.must(http.StatusOK, http.MethodGet, "/channels/", u, nil)
			}
			ids := make([]string, 6)
			var opening sync.WaitGroup
			for i := range ids {
				me, other := a, b
				if i%2 == 1 {
					me, other = b, a
				}
				opening.Go(func() {
					ids[i] = s.must(
						http.StatusOK, http.MethodPost, "/channels/direct", me, map[string]any{"user_id": other},
					).field(t, "id")
				})
			}
			opening.Wait()
			for _, id := range ids {
				if id != ids[0] {
					t.Fatalf("the users have several direct channels: %v", ids)
				}
			}
		}
		// D-45
		if r := s.request(
			http.MethodPost, "/channels/direct", "a0", map[string]any{"user_id": "a0"},
		); r.status != http.StatusUnprocessableEntity {
			t.Errorf("a direct channel with oneself: status %d, want 422: %s", r.status, r.body)
		}
		s.must(http.StatusOK, http.MethodGet, "/channels/", "a0", nil)
	})
}

func TestD46TimesIncludeAZone(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		ada := s.dial("ada")
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z", ada.hello.Timestamp); err != nil {
			t.Errorf("the timestamp %q is not in UTC with microseconds", ada.hello.Timestamp)
		}
	})
}

func TestD52RemovedMemberReceivesNothing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		ada.send(id, "for both")
		s.must(http.StatusNoContent, http.MethodDelete, "/channels/"+id+"/members/bob", "ada", nil)
		ada.send(id, "secret")
		if got := bob.expect("channel_left", nil); got.ChannelID != id {
			t.Errorf("got %s", got.raw)
		}
		for event, data := range map[string]map[string]any{
			"new_message": {"channel_id": id, "content": "x"}, "typing": {"channel_id": id}, "join_channel": {"channel_id": id},
		} {
			if f := bob.ask(event, data); f.Code != "forbidden" || f.Message != chat.TextAccessDenied {
				t.Errorf("%s by a removed member: got %s, want forbidden", event, f.raw)
			}
		}
		again := s.dial("bob")
		ada.send(id, "secret too")
		again.ask("ping", nil)
		if strings.Contains(bob.dump()+again.dump(), "secret") {
			t.Error("the removed member received a later message")
		}
		s.must(http.StatusForbidden, http.MethodGet, "/channels/"+id+"/messages", "bob", nil)
	})
}

func TestD54NonMembersCannotChangeAnything(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id, own := s.channel("ada", "bob"), s.channel("eve")
		mid := s.dial("ada").send(id, "private").Response.MessageID
		eve := s.dial("eve")
		for event, data := range map[string]map[string]any{
			"message_reaction": {"channel_id": own, "message_id": mid, "emoji": "👀"},
			"new_message":      {"channel_id": own, "content": "re", "parent_message_id": mid},
			"edit_message":     {"channel_id": own, "message_id": mid, "content": "x"},
			"delete_message":   {"channel_id": own, "message_id": mid},
		} {
			if f := eve.ask(event, data); f.Code != "not_found" {
				t.Errorf("%s through another channel: got %s, want not_found", event, f.raw)
			}
			data["channel_id"] = id
			if f := eve.ask(event, data); f.Code != "forbidden" {
				t.Errorf("%s by a non-member: got %s, want forbidden", event, f.raw)
			}
		}
	})
}

// TestD60D63OldClientsReceiveRefusalsInAcks checks refusals of a client without
// subprotocol; clients with one receive errors.
func TestD60D63OldClientsReceiveRefusalsInAcks(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		eve := s.dialOld("eve")
		if f := eve.ask("new_message", map[string]any{"channel_id": id, "content": "x"}); f.Type != "ack" ||
			f.Response.Error != chat.TextAccessDenied || f.Response.Code != "forbidden" {
			t.Errorf("got %s", f.raw)
		}
		if f := eve.askInvalid("new_message", map[string]any{"channel_id": id}); f.Type != "ack" ||
			f.Response.Error != chat.TextMissingContent {
			t.Errorf("got %s", f.raw)
		}
		if f := eve.ask("ping", nil); f.Type != "pong" { // D-60
			t.Errorf("got %s", f.raw)
		}
	})
}
