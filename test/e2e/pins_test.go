package e2e

import (
	"net/http"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

// TestPins: an owner pins over REST and unpins over a socket, members see both and the list,
// and a member without the role may do neither.
func TestPins(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		mid := bob.send(id, "read this").Response.MessageID
		message := map[string]any{"channel_id": id, "message_id": mid}
		pins := func() (page []chat.Message) {
			s.must(http.StatusOK, http.MethodGet, "/channels/"+id+"/messages?pinned=true", "bob", nil).into(t, &page)
			return page
		}
		path := "/channels/" + id + "/messages/" + mid + "/pin"
		s.must(http.StatusForbidden, http.MethodPut, path, "bob", nil)
		s.must(http.StatusNoContent, http.MethodPut, path, "ada", nil)
		bob.expect("message_pinned", func(f *frame) bool { return f.MessageID == mid && f.UserID == "ada" })
		if page := pins(); len(page) != 1 || page[0].ID.String() != mid || !page[0].IsPinned {
			t.Errorf("pinned: got %+v, want the message", page)
		}
		if f := bob.ask("unpin_message", message); f.Code != "forbidden" {
			t.Errorf("unpin by a member: got %s", f.raw)
		}
		ada.ok("unpin_message", message)
		bob.expect("message_unpinned", func(f *frame) bool { return f.MessageID == mid })
		if page := pins(); len(page) != 0 {
			t.Errorf("pinned after the unpin: got %+v, want none", page)
		}
	})
}
