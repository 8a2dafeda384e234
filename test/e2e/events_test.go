package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/chowk-chat/chowk/chat"
)

func TestTwoUsersChat(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, second, bob := s.dial("ada"), s.dial("ada"), s.dial("bob")
		if len(ada.hello.Channels) != 1 || ada.hello.Channels[0].ID.String() != id || ada.hello.Status != "connected" ||
			ada.hello.Epoch == "" {
			t.Fatalf("the connection frame is %s", ada.hello.raw)
		}
		ack := ada.ok("new_message", map[string]any{"channel_id": id, "content": "hello", "client_id": "k-1"})
		for _, c := range []*client{ada, second, bob} {
			got := c.expect("message", nil)
			if got.Data.Content != "hello" || got.Data.ID != ack.Response.MessageID || got.Seq != ack.Response.Seq ||
				got.ChannelID != id {
				t.Errorf("got %s for the ack %s", got.raw, ack.raw)
			}
			if own := got.Data.ClientID == "k-1"; own != (c != bob) {
				t.Errorf("client_id %q: only the sender's sockets receive it: %s", got.Data.ClientID, got.raw)
			}
		}

		edit := ada.ok("edit_message", map[string]any{
			"channel_id": id, "message_id": ack.Response.MessageID, "content": "hello!",
		})
		if got := bob.expect("message_updated", nil); got.Content != "hello!" || got.Seq != edit.Response.Seq ||
			got.UserID != "ada" {
			t.Errorf("got %s", got.raw)
		}
		react := map[string]any{"channel_id": id, "message_id": ack.Response.MessageID, "emoji": "👍"}
		bob.ok("message_reaction", react)
		if got := ada.expect("message_reaction", nil); got.Emoji != "👍" || got.UserID != "bob" || got.Count != 1 ||
			got.ChannelID != id {
			t.Errorf("got %s", got.raw)
		}
		bob.ok("remove_reaction", react)
		if got := ada.expect("reaction_removed", nil); got.Count != 0 {
			t.Errorf("got %s", got.raw)
		}
		bob.ok("typing", map[string]any{"channel_id": id})
		if got := ada.expect("typing", nil); got.UserID != "bob" || !got.IsTyping {
			t.Errorf("got %s", got.raw)
		}
		read := bob.ok("read_receipt", map[string]any{"channel_id": id, "message_id": ack.Response.MessageID})
		if read.Response.Read != ack.Response.Seq || read.Response.Unread != 0 {
			t.Errorf("got %s", read.raw)
		}
		if got := ada.expect("read_receipt", nil); got.UserID != "bob" || got.MessageID != ack.Response.MessageID {
			t.Errorf("got %s", got.raw)
		}
		ada.ok("delete_message", map[string]any{"channel_id": id, "message_id": ack.Response.MessageID})
		if got := bob.expect("message_deleted", nil); got.MessageID != ack.Response.MessageID || got.UserID != "ada" {
			t.Errorf("got %s", got.raw)
		}
		if f := ada.ask("ping", nil); f.Type != "pong" {
			t.Errorf("the reply to ping is %s", f.raw)
		}
	})
}

// TestD11D40RESTChangesReachSockets checks that each change made over REST is sent to
// sockets.
func TestD11D40RESTChangesReachSockets(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		bob := s.dial("bob")
		path := "/channels/" + id + "/messages"
		mid := s.must(http.StatusCreated, http.MethodPost, path, "ada", map[string]any{"content": "by REST"}).field(t, "id")
		if got := bob.expect("message", nil); got.Data.ID != mid || got.Data.Content != "by REST" {
			t.Errorf("got %s", got.raw)
		}
		s.must(http.StatusOK, http.MethodPatch, path+"/"+mid, "ada", map[string]any{"content": "edited"})
		bob.expect("message_updated", func(f *frame) bool { return f.Content == "edited" })
		s.must(http.StatusOK, http.MethodPost, path+"/"+mid+"/reactions", "ada", map[string]any{"emoji": "🎉"})
		bob.expect("message_reaction", nil)
		s.must(http.StatusOK, http.MethodDelete, path+"/"+mid+"/reactions/🎉", "ada", nil)
		bob.expect("reaction_removed", nil)
		s.must(http.StatusNoContent, http.MethodDelete, path+"/"+mid, "ada", nil)
		bob.expect("message_deleted", nil)
		s.must(http.StatusOK, http.MethodPatch, "/channels/"+id, "ada", map[string]any{"topic": "news"})
		bob.expect("channel_updated", nil)
		s.must(http.StatusOK, http.MethodPost, "/channels/"+id+"/read", "ada", nil)
		bob.expect("read_receipt", func(f *frame) bool { return f.UserID == "ada" })
	})
}

func TestD10NewChannelsAreJoinedAutomatically(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		bob := s.dial("bob")
		id := s.channel("ada", "bob")
		if got := bob.expect("channel_joined", nil); got.ChannelID != id || got.Seq != 1 {
			t.Errorf("got %s", got.raw)
		}
		s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{"content": "hi"})
		bob.expect("message", nil)
		if got := s.must(http.StatusOK, http.MethodGet, "/channel/"+id+"/online-members", "ada", nil).field(
			t, "online_members",
		); got != "[bob]" {
			t.Errorf("online members: got %s, want [bob]", got)
		}
	})
}

func TestD14SameClientIDIsOneMessage(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		for _, key := range []string{"my own key", chat.NewID().String()} {
			data := map[string]any{"channel_id": id, "content": "once", "client_id": key}
			first := ada.ok("new_message", data)
			again := ada.ok("new_message", data)
			if again.Response.MessageID != first.Response.MessageID || again.Response.Seq != first.Response.Seq ||
				!again.Response.Duplicate || first.Response.Duplicate {
				t.Errorf("the first reply is %s, the second %s", first.raw, again.raw)
			}
			rest := s.must(http.StatusCreated, http.MethodPost, "/channels/"+id+"/messages", "ada", map[string]any{
				"content": "once", "client_id": key,
			})
			if rest.field(t, "id") != first.Response.MessageID {
				t.Errorf("REST created another message: %s", rest.body)
			}
			data["content"] = "another"
			if f := ada.ask("new_message", data); f.Code != "conflict" {
				t.Errorf("other content with the same client_id: got %s, want conflict", f.raw)
			}
			if key != "my own key" {
				if f := bob.ask("new_message", map[string]any{
					"channel_id": id, "content": "once", "client_id": key,
				}); f.Code != "conflict" {
					t.Errorf("the id of another user's message: got %s, want conflict", f.raw)
				}
			}
		}
		if n := len(s.history("ada", id)); n != 2 {
			t.Errorf("%d messages are stored, want 2", n)
		}
	})
}

// history returns the contents of a channel's latest messages, oldest first.
func (s *server) history(user, channel string) []string {
	s.t.Helper()
	var page []chat.Message
	s.must(http.StatusOK, http.MethodGet, "/channels/"+channel+"/messages?limit=100", user, nil).into(s.t, &page)
	var contents []string
	for _, m := range slices.Backward(page) {
		contents = append(contents, m.Content)
	}
	return contents
}

// TestD15ResumeDeliversMissedMessages checks that missed messages arrive after a
// reconnect, in order, without gaps or duplicates.
func TestD15ResumeDeliversMissedMessages(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		bob := s.dial("bob")
		last := bob.hello.Channels[0].LastSeq
		_ = bob.conn.CloseNow()
		ada := s.dial("ada")
		for i := range 40 {
			ada.send(id, fmt.Sprint(i))
		}
		bob = s.dial("bob")
		resumed := bob.ok("resume", map[string]any{"epoch": bob.hello.Epoch, "cursors": map[string]any{id: last}})
		if span := resumed.Response.Channels[id]; span.From != last || span.To != last+40 {
			t.Errorf("got %s", resumed.raw)
		}
		ada.send(id, "live")
		for i := range 41 {
			if got := bob.expect("message", nil); got.Seq != last+int64(i)+1 {
				t.Fatalf("got seq %d, want %d", got.Seq, last+int64(i)+1)
			}
		}
		bob.ok("resume", map[string]any{"epoch": "another", "cursors": map[string]any{id: last}})
		if got := bob.expect("error", nil); got.Code != "resync" || got.ChannelID != id {
			t.Errorf("another epoch: got %s, want resync", got.raw)
		}
		bob.ok("resume", map[string]any{"epoch": bob.hello.Epoch, "cursors": map[string]any{id: last + 1000}})
		if got := bob.expect("error", nil); got.Code != "resync" {
			t.Errorf("a cursor beyond the head: got %s, want resync", got.raw)
		}
	})
}

func TestJoinAndLeaveAffectOneSocket(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada, bob := s.dial("ada"), s.dial("bob")
		bob.ok("leave_channel", map[string]any{"channel_id": id})
		ada.send(id, "while left")
		joined := bob.ok("join_channel", map[string]any{"channel_id": id})
		if joined.Response.Status != "joined" || joined.Response.LastSeq != 2 {
			t.Errorf("got %s", joined.raw)
		}
		ada.send(id, "while joined")
		if got := bob.expect("message", nil); got.Data.Content != "while joined" {
			t.Errorf("got %s", got.raw)
		}
		s.Log.Await(t, `"joined channel"`, id, `"bob"`)
	})
}

func TestD35PresenceOnlyWithinSharedChannels(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		s.channel("eve")
		ada := s.dial("ada")
		got := ada.ok("subscribe_presence", map[string]any{"user_ids": []string{"bob", "eve"}})
		if len(got.Response.Online) != 0 {
			t.Errorf("got %s", got.raw)
		}
		bob := s.dial("bob")
		s.dial("eve")
		if f := ada.expect("presence", nil); f.UserID != "bob" || !f.IsOnline {
			t.Errorf("got %s", f.raw)
		}
		if got := ada.ok("subscribe_presence", map[string]any{"channel_id": id}); len(got.Response.Online) != 2 {
			t.Errorf("got %s", got.raw)
		}
		_ = bob.conn.CloseNow()
		if f := ada.expect("presence", nil); f.UserID != "bob" || f.IsOnline {
			t.Errorf("got %s", f.raw)
		}
		if got := ada.ok("subscribe_presence", map[string]any{}); len(got.Response.Online) != 0 {
			t.Errorf("an empty subscription returns online users: %s", got.raw)
		}
		// D-51: the ids of other users are not disclosed.
		if got := s.must(
			http.StatusOK, http.MethodGet, "/online-users", "ada", nil,
		).field(t, "online_users"); got != "[ada]" {
			t.Errorf("online users: got %s, want [ada]", got)
		}
		s.must(http.StatusNotFound, http.MethodGet, "/user/eve/status", "ada", nil)
	})
}

func TestD30D31UnreadCountsAndActivity(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, s *server) {
		id := s.channel("ada", "bob")
		ada := s.dial("ada")
		var third frame
		for i := range 5 {
			ack := ada.send(id, fmt.Sprint(i))
			if i == 2 {
				third = ack
			}
		}
		channelOf := func(user string) (c chat.Channel) {
			var all []chat.Channel
			s.must(http.StatusOK, http.MethodGet, "/channels/", user, nil).into(t, &all)
			return all[0]
		}
		if c := channelOf("bob"); c.UnreadCount != 5 || c.MyMembership.UnreadCount != 5 || c.MessageCount != 5 ||
			c.LastMessageAt == nil {
			t.Errorf("bob sees %+v, %+v; want 5 unread of 5 messages", c, c.MyMembership)
		}
		if c := channelOf("ada"); c.UnreadCount != 0 {
			t.Errorf("ada has %d unread messages, all of them her own", c.UnreadCount)
		}
		bob := s.dial("bob")
		if n := bob.hello.Channels[0].UnreadCount; n != 5 {
			t.Errorf("the connection frame has %d unread messages, want 5", n)
		}
		if got := bob.ok("read_receipt", map[string]any{
			"channel_id": id, "message_id": third.Response.MessageID,
		}); got.Response.Unread != 2 {
			t.Errorf("got %s", got.raw)
		}
		ada.ok("delete_message", map[string]any{"channel_id": id, "message_id": ada.send(id, "gone").Response.MessageID})
		if c := channelOf("bob"); c.UnreadCount != 2 {
			t.Errorf("a deleted message counts as unread: %d, want 2", c.UnreadCount)
		}
	})
}
