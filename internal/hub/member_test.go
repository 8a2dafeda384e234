package hub_test

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func joined(user chat.UserID) chat.Entry {
	return chat.Entry{
		Type: chat.EventMemberJoined, UserID: "bob", Subject: user, Channel: &chat.Channel{Name: "c"},
	}
}

func left(user chat.UserID) chat.Entry {
	return chat.Entry{Type: chat.EventMemberLeft, UserID: "bob", Subject: user}
}

// event is a frame without a message.
func event(typ chat.EventType, channel chat.ID, seq chat.Seq) wire {
	return wire{Type: typ, ChannelID: channel, Seq: seq}
}

func memberEvent(typ chat.EventType, channel chat.ID, seq chat.Seq, user chat.UserID) wire {
	return wire{Type: typ, ChannelID: channel, Seq: seq, UserID: user}
}

// membership is what IsMember returns.
type membership struct{ Member, Known bool }

func (w *world) membership(id chat.ID, user chat.UserID) (m membership) {
	m.Member, m.Known = w.hub.IsMember(id, user)
	return m
}

func TestANewMemberIsSentEntriesFromTheJoinOn(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("bob")
	bob, ada := w.connect("bob"), w.connect("ada")
	w.publish(id, message("bob", "before"), joined("ada"), message("bob", "after"))
	ada.wantFrames(t, event(chat.EventChannelJoined, id, 2), messageFrame(id, 3, "after"))
	bob.wantFrames(t,
		messageFrame(id, 1, "before"), memberEvent(chat.EventMemberJoined, id, 2, "ada"), messageFrame(id, 3, "after"))
	equal(t, "membership", w.membership(id, "ada"), membership{Member: true, Known: true})
}

func TestTheFirstConnectedMemberOfAChannelIsSentEntries(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("bob") // has no socket
	ada := w.connect("ada")
	w.publish(id, message("bob", "before"), joined("ada"))
	w.publish(id, message("bob", "after"))
	ada.wantFrames(t, event(chat.EventChannelJoined, id, 2), messageFrame(id, 3, "after"))
}

// TestD52ARemovedMemberIsSentNothingMore, whether quick or slow, until they are back.
func TestD52ARemovedMemberIsSentNothingMore(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow=%v", slow), func(t *testing.T) {
			w := newWorld(t, hub.Config{})
			id := w.channel("ada", "bob")
			ada, bob := w.connect("ada"), w.connect("bob")
			if slow {
				ada.stall()
			}
			w.publish(id, message("bob", "1"), message("bob", "2"), left("ada"),
				message("bob", "secret"), joined("ada"), message("bob", "back"))
			bob.frames(t, 6)
			if slow {
				ada.drain()
			}
			want := []wire{
				messageFrame(id, 1, "1"), messageFrame(id, 2, "2"), event(chat.EventChannelLeft, id, 3),
				event(chat.EventChannelJoined, id, 5), messageFrame(id, 6, "back"),
			}
			ada.wantFrames(t, want...)
			w.publish(id, left("ada"), message("bob", "secret"))
			bob.frames(t, 8)
			ada.frames(t, 6)
			equal(t, "membership", w.membership(id, "ada"), membership{Known: true})
			w.publish(id, joined("ada"))
			ada.wantFrames(t, append(want, event(chat.EventChannelLeft, id, 7), event(chat.EventChannelJoined, id, 9))...)
		})
	}
}

func TestAChannelThatWasLeftIsSilentUntilJoined(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, other := w.channel("ada", "bob"), w.channel("ada")
	ada, bob := w.connect("ada"), w.connect("bob")
	ada.socket.Leave(id)
	w.publish(id, message("bob", "not sent"))
	bob.frames(t, 1)
	if seq, err := ada.socket.Join(t.Context(), id); err != nil || seq != 1 {
		t.Errorf("Join returns %d, %v, want 1", seq, err)
	}
	w.publish(id, message("bob", "sent"))
	w.publish(other, message("bob", "other"))
	for _, f := range ada.frames(t, 2) {
		if f.Data.Content == "not sent" {
			t.Error("the socket is sent a message of a channel that it left")
		}
	}
	if _, err := ada.socket.Join(t.Context(), w.channel("bob")); chat.AsError(err).Code != chat.Forbidden {
		t.Errorf("Join of a foreign channel returns %v, want %s", err, chat.Forbidden)
	}
}

func TestClosedSocketsLeaveNothingBehind(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "x"))
	c.frames(t, 1)
	c.socket.Close()
	c.socket.Close()
	if got := w.hub.ChannelCount(); got != 0 {
		t.Errorf("%d channels are left, want 0", got)
	}
	w.publish(id, message("bob", "without listeners"))
	equal(t, "online", w.hub.Online(nil), []chat.UserID{})
}

func TestTooManySocketsOfOneUserAreRefused(t *testing.T) {
	w := newWorld(t, hub.Config{})
	for range 3 {
		s, _, err := w.hub.Attach(t.Context(), &conn{}, "ada", 3, false)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	_, _, err := w.hub.Attach(t.Context(), &conn{}, "ada", 3, false)
	if chat.AsError(err).Code != chat.RateLimited {
		t.Errorf("the fourth Attach returns %v, want %s", err, chat.RateLimited)
	}
	if _, _, err := w.hub.Attach(t.Context(), &conn{}, "bob", 3, false); err != nil {
		t.Errorf("another user is refused: %v", err)
	}
}
