package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

// TestD05TypingAsksTheStoreNothing: a keystroke must not cost a query.
func TestD05TypingAsksTheStoreNothing(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	ada, bob := w.connect("ada"), w.connect("bob")
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	if member, known := w.hub.IsMember(id, "ada"); !member || !known {
		t.Fatal("ada is a member")
	}
	if member, known := w.hub.IsMember(chat.NewID(), "ada"); member || !known {
		t.Fatal("ada is no member of another channel")
	}
	w.hub.Typing(id, "ada", true, 1)
	if got := bob.frames(t, 1)[0]; got.Type != chat.EventTyping || got.UserID != "ada" || !got.IsTyping {
		t.Errorf("bob got %+v", got)
	}
	if got := ada.frames(t, 0); len(got) != 0 {
		t.Errorf("the typist got %+v", got)
	}
	w.hub.PublishReadReceipt(chat.ReadReceiptFrame{Type: chat.EventReadReceipt, ChannelID: id, UserID: "bob", LastReadSeq: 1})
	if got := ada.frames(t, 1); len(got) != 1 || got[0].Type != chat.EventReadReceipt {
		t.Errorf("the typist got %+v, want the receipt alone", got)
	}
}

// TestTypingExpires when nobody says that it stopped, and only then.
func TestTypingExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada", "bob", "eve")
		bob := w.connect("bob")
		w.connect("ada")
		w.hub.Typing(id, "ada", true, 1)
		w.hub.Typing(id, "eve", true, 1)
		time.Sleep(6 * time.Second)
		w.hub.Typing(id, "ada", true, 1)
		w.hub.Typing(id, "eve", false, 1)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := bob.frames(t, 4); len(got) != 4 || !got[2].IsTyping && !got[3].IsTyping {
			t.Errorf("ada still types, but bob got %+v", got)
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if got := bob.frames(t, 5); len(got) != 5 || got[4].IsTyping || got[4].UserID != "ada" {
			t.Errorf("got %+v, want that ada stopped, once", got)
		}
		w.hub.Close()
	})
}

// TestASecondsTypingIsOneFrameForEachTypist, the latest, and at once after quiet.
func TestASecondsTypingIsOneFrameForEachTypist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada", "bob")
		bob := w.connect("bob")
		w.hub.Typing(id, "ada", true, 1)
		synctest.Wait()
		if got := bob.frames(t, 1); len(got) != 1 {
			t.Fatalf("got %+v", got)
		}
		for i := range 101 {
			w.hub.Typing(id, "ada", i%2 == 1, 1)
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := bob.frames(t, 2); len(got) != 2 || got[1].IsTyping {
			t.Errorf("got %+v, want one more, the latest", got)
		}
		w.hub.Close()
	})
}

func TestWhatMayBeLostIsNotKeptForSlowSockets(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	ada, bob := w.connect("ada"), w.connect("bob")
	bob.stall()
	w.publish(id, message("ada", "fills the buffer"))
	bob.frames(t, 1)
	for range 1000 {
		w.hub.Typing(id, "ada", true, 1)
	}
	w.publish(id, message("ada", "after"))
	ada.frames(t, 2)
	bob.drain()
	if got := bob.frames(t, 2); got[1].Type != chat.EventMessage {
		t.Errorf("got %+v", got[1])
	}
}

// TestD35PresenceIsToldToThoseWhoAsked, once a second at most, and to nobody else.
func TestD35PresenceIsToldToThoseWhoAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		watcher, other := w.connect("ada"), w.connect("eve")
		watcher.socket.Watch([]chat.UserID{"bob"})
		if on := w.hub.Online([]chat.UserID{"bob", "eve"}); len(on) != 1 || on[0] != "eve" {
			t.Errorf("online: %v", on)
		}
		bob := w.connect("bob")
		for range 20 { // a page that reconnects all the time
			bob.socket.Close()
			bob = w.connect("bob")
		}
		time.Sleep(3 * time.Second) // the test's own clock
		synctest.Wait()
		if got := watcher.frames(t, 1); len(got) != 1 || got[0].UserID != "bob" || !got[0].IsOnline {
			t.Errorf("got %+v, want one presence", got)
		}
		bob.socket.Close()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := watcher.frames(t, 2); len(got) != 2 || got[1].IsOnline {
			t.Errorf("got %+v, want that bob went", got)
		}
		watcher.socket.Watch(nil)
		w.connect("bob")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := len(watcher.frames(t, 2)); n != 2 {
			t.Errorf("told %d times after it stopped watching", n)
		}
		if n := len(other.frames(t, 0)); n != 0 {
			t.Errorf("one who did not ask got %d frames", n)
		}
		w.hub.Close()
	})
}

// TestWhoGoesRightAfterTheAnswerIsToldOf: the answer said that bob is online, and the
// watchers were not told of his coming yet when he went.
func TestWhoGoesRightAfterTheAnswerIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		watcher := w.connect("ada")
		watcher.socket.Watch([]chat.UserID{"bob"})
		bob := w.connect("bob")
		if on := w.hub.Online([]chat.UserID{"bob"}); len(on) != 1 {
			t.Errorf("online: %v", on)
		}
		bob.socket.Close()
		time.Sleep(3 * time.Second) // the test's own clock
		synctest.Wait()
		if got := watcher.frames(t, 1); len(got) != 1 || got[0].UserID != "bob" || got[0].IsOnline {
			t.Errorf("got %+v, want that bob went", got)
		}
		w.hub.Close()
	})
}

func TestAWatcherThatWasSlowLearnsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada")
		ada := w.connect("ada")
		ada.socket.Watch([]chat.UserID{"bob"})
		ada.stall()
		w.publish(id, message("eve", "fills the buffer"))
		ada.frames(t, 1)
		w.connect("bob")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		ada.drain()
		synctest.Wait()
		if got := ada.frames(t, 2); got[1].Type != chat.EventPresence || !got[1].IsOnline {
			t.Errorf("got %+v", got[1])
		}
		w.hub.Close()
	})
}

// TestD21APageOfTheOldSystemGetsMessagesOfTheChannelItShows and no others.
func TestD21APageOfTheOldSystemGetsMessagesOfTheChannelItShows(t *testing.T) {
	w := newWorld(t, hub.Config{})
	shown, hidden := w.channel("ada", "bob"), w.channel("ada", "bob")
	page, bob := w.connectAs("ada", true), w.connect("bob")
	if _, err := page.socket.Join(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	w.publish(hidden, message("bob", "hidden"))
	bob.frames(t, 1)
	w.publish(shown, message("bob", "shown"))
	if got := page.frames(t, 1); len(got) != 1 || got[0].Data.Content != "shown" {
		t.Errorf("got %+v", got)
	}
}

// TestD22APageOfTheOldSystemHearsOfItsOwnMessageAfterTheAnswer to its request.
func TestD22APageOfTheOldSystemHearsOfItsOwnMessageAfterTheAnswer(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	page, bob := w.connectAs("ada", true), w.connect("bob")
	if _, err := page.socket.Join(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	release := w.hub.DelayOwnEcho("ada", id)
	w.publish(id, message("ada", "mine"))
	bob.frames(t, 1)
	if n := len(page.frames(t, 0)); n != 0 {
		t.Errorf("the page heard of its message before its answer")
	}
	release()
	w.publish(id, message("bob", "next"))
	inOrder(t, page.frames(t, 2), id, 1, 2)
}
