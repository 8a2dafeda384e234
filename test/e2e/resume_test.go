package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// resumeFrom opens a socket with a resume in its handshake.
func (s *server) resumeFrom(user, compact string) *client {
	s.t.Helper()
	return s.dialAs("/ws?resume="+url.QueryEscape(compact), user, chat.Protocol)
}

// TestReconnectTakesOneRoundTrip resumes in the handshake: the first frame has the
// ranges that the server sends, and the missed messages follow without another
// command.
func TestReconnectTakesOneRoundTrip(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		ada.send(id, "received")
		received := bob.expect("message", nil)
		_ = bob.conn.CloseNow()
		for _, text := range []string{"missed 1", "missed 2"} {
			ada.send(id, text)
		}
		again := s.resumeFrom(
			"bob", chat.FormatCursors(bob.hello.Epoch, map[chat.ID]chat.Seq{chat.MustParseID(id): received.Seq}),
		)
		if got := again.hello.Resumed[id]; got != (chat.SeqRange{From: received.Seq, To: received.Seq + 2}) {
			t.Errorf("the connection frame resumes %+v", got)
		}
		ada.send(id, "live")
		for i, want := range []string{"missed 1", "missed 2", "live"} {
			if got := again.expect("message", nil); got.Data.Content != want || got.Seq != received.Seq+1+int64(i) {
				t.Fatalf("got %s, want %q", got.raw, want)
			}
		}
	})
}

// TestReaddedMemberMissesTheTimeBetween checks that a member who was removed and added
// again while away never receives entries of the time between, whatever cursor they
// resume from.
func TestReaddedMemberMissesTheTimeBetween(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		ada.send(id, "for both")
		received := bob.expect("message", nil)
		_ = bob.conn.CloseNow()
		s.must(http.StatusNoContent, http.MethodDelete, "/channels/"+id+"/members/bob", "ada", nil)
		ada.send(id, "secret")
		s.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/members", "ada", map[string]any{"user_ids": []string{"bob"}})
		ada.send(id, "welcome back")
		for _, from := range []int64{0, received.Seq, received.Seq + 1} {
			again := s.resumeFrom("bob", chat.FormatCursors(bob.hello.Epoch, map[chat.ID]chat.Seq{chat.MustParseID(id): from}))
			if got := again.expect(
				"message", func(f *frame) bool { return f.Seq > received.Seq },
			); got.Data.Content != "welcome back" {
				t.Errorf("resumed from %d: got %s, want welcome back", from, got.raw)
			}
			if strings.Contains(again.dump(), "secret") {
				t.Errorf("resumed from %d: received a message of the time between", from)
			}
		}
	})
}

func TestResumeErrors(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id, foreign := chat.MustParseID(s.channel("ada")), chat.MustParseID(s.channel("eve"))
		ada := s.dial("ada")
		epoch := ada.hello.Epoch
		refused := func(c *client, code string, ids ...chat.ID) {
			t.Helper()
			got := c.expect("error", func(f *frame) bool { return f.Code == code })
			if got.Event != "resume" || len(got.ChannelIDs) != len(ids) || got.ChannelIDs[0] != ids[0].String() {
				t.Errorf("got %s", got.raw)
			}
		}
		ada.ok("resume", map[string]any{"epoch": epoch, "cursors": map[string]int64{id.String(): 99}})
		refused(ada, "resync", id)
		ada.ok("resume", map[string]any{"epoch": epoch, "cursors": map[string]int64{foreign.String(): 0}})
		refused(ada, "forbidden", foreign)
		ada.ok("resume", map[string]any{"epoch": "another", "cursors": map[string]int64{id.String(): 1}})
		refused(ada, "resync", id)
		refused(s.resumeFrom("ada", chat.FormatCursors(epoch, map[chat.ID]chat.Seq{id: 99})), "resync", id)
		refused(s.resumeFrom("ada", chat.FormatCursors("another", map[chat.ID]chat.Seq{id: 1})), "resync", id)

		for name, cursors := range map[string]any{
			"an array": []int{1}, "not an id": map[string]int{"x": 1}, "a string": map[string]string{id.String(): "1"},
			"negative":   map[string]int{id.String(): -1},
			"a fraction": map[string]float64{id.String(): 1.5},
		} {
			if f := ada.askInvalid("resume", map[string]any{"epoch": epoch, "cursors": cursors}); f.Type != "error" ||
				f.Code != "bad_request" {
				t.Errorf("%s: got %s, want bad_request", name, f.raw)
			}
		}
		for _, compact := range []string{"x", epoch + ".###", epoch + ".AAAA"} {
			_, resp, err := s.tryDial("/ws?resume="+url.QueryEscape(compact), "ada", chat.Protocol)
			if err == nil || resp.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("resume=%s: %v, %v; want status 422", compact, resp, err)
			}
		}
		ada.ok("new_message", map[string]any{"channel_id": id.String(), "content": "the socket still works"})
	})
}

// TestTenThousandCursorsInOneResume checks that there is one error for each reason,
// and that one cursor more is refused.
func TestTenThousandCursorsInOneResume(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada")
		ada := s.dial("ada")
		cursors := map[string]int64{id: 1}
		for len(cursors) < chat.MaxCursors {
			cursors[chat.NewID().String()] = 1
		}
		got := ada.ok("resume", map[string]any{"epoch": ada.hello.Epoch, "cursors": cursors})
		if len(got.Response.Channels) != 1 {
			t.Errorf("%d channels were resumed", len(got.Response.Channels))
		}
		if f := ada.expect("error", nil); f.Code != "forbidden" || len(f.ChannelIDs) != chat.MaxCursors-1 {
			t.Errorf("%d channels were refused with %s, want all but one with forbidden", len(f.ChannelIDs), f.Code)
		}
		cursors[chat.NewID().String()] = 1
		if f := ada.askInvalid("resume", map[string]any{
			"epoch": ada.hello.Epoch, "cursors": cursors,
		}); f.Code != "bad_request" || f.Field != "cursors" {
			t.Errorf("one cursor too many: got %s, want bad_request", f.raw)
		}
	}, "limits.message-bytes=1MiB")
}
