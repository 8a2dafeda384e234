package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func typingFrame(channel chat.ID, user chat.UserID, isTyping bool) wire {
	return wire{Type: chat.EventTyping, ChannelID: channel, UserID: user, IsTyping: isTyping}
}

func presenceFrame(user chat.UserID, online bool) wire {
	return wire{Type: chat.EventPresence, UserID: user, IsOnline: online}
}

// TestD05TypingCallsNoStore: a keystroke must not cost a query.
func TestD05TypingCallsNoStore(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	ada, bob := w.connect("ada"), w.connect("bob")
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	equal(t, "membership", w.membership(id, "ada"), membership{Member: true, Known: true})
	equal(t, "membership of another channel", w.membership(chat.NewID(), "ada"), membership{Known: true})
	w.hub.Typing(id, "ada", true, 1)
	bob.wantFrames(t, typingFrame(id, "ada", true))
	if got := ada.frames(t, 0); len(got) != 0 {
		t.Errorf("the typist is sent %+v", got)
	}
	w.hub.PublishReadReceipt(chat.ReadReceiptFrame{
		Type: chat.EventReadReceipt, ChannelID: id, UserID: "bob", LastReadSeq: 1,
	})
	ada.wantFrames(t, wire{Type: chat.EventReadReceipt, ChannelID: id, UserID: "bob"})
}

// TestTypingExpires when no event says that it stopped, and only then.
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
		want := []wire{
			typingFrame(id, "ada", true), typingFrame(id, "eve", true),
			typingFrame(id, "ada", true), typingFrame(id, "eve", false),
		}
		bob.wantFrames(t, want...)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		bob.wantFrames(t, append(want, typingFrame(id, "ada", false))...)
		w.hub.Close()
	})
}

// TestTypingFollowsTheHubsClock, and no other.
func TestTypingFollowsTheHubsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := time.Now()
		w := newWorld(t, hub.Config{Now: func() time.Time { return stopped }})
		id := w.channel("ada", "bob")
		bob := w.connect("bob")
		w.hub.Typing(id, "ada", true, 1)
		time.Sleep(time.Minute)
		synctest.Wait()
		bob.wantFrames(t, typingFrame(id, "ada", true))
		w.hub.Close()
	})
}

// TestASecondsTypingIsOneFramePerTypist, the latest; after a quiet second typing is sent
// at once.
func TestASecondsTypingIsOneFramePerTypist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada", "bob")
		bob := w.connect("bob")
		w.hub.Typing(id, "ada", true, 1)
		synctest.Wait()
		bob.wantFrames(t, typingFrame(id, "ada", true))
		for i := range 101 {
			w.hub.Typing(id, "ada", i%2 == 1, 1)
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		bob.wantFrames(t, typingFrame(id, "ada", true), typingFrame(id, "ada", false))
		w.hub.Close()
	})
}

func TestTransientEventsAreNotKeptForSlowSockets(t *testing.T) {
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
	bob.wantFrames(t, messageFrame(id, 1, "fills the buffer"), messageFrame(id, 2, "after"))
}

// TestD35PresenceIsSentToWatchers, once a second at most, and to no other socket.
func TestD35PresenceIsSentToWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		watcher, other := w.connect("ada"), w.connect("eve")
		watcher.socket.Watch([]chat.UserID{"bob"})
		equal(t, "online", w.hub.Online([]chat.UserID{"bob", "eve"}), []chat.UserID{"eve"})
		bob := w.connect("bob")
		for range 20 { // a page that reconnects all the time
			bob.socket.Close()
			bob = w.connect("bob")
		}
		settle := func() {
			time.Sleep(3 * time.Second) // of the test's own clock
			synctest.Wait()
		}
		settle()
		watcher.wantFrames(t, presenceFrame("bob", true))
		bob.socket.Close()
		settle()
		watcher.wantFrames(t, presenceFrame("bob", true), presenceFrame("bob", false))
		watcher.socket.Watch(nil)
		w.connect("bob")
		settle()
		watcher.wantFrames(t, presenceFrame("bob", true), presenceFrame("bob", false))
		if got := other.frames(t, 0); len(got) != 0 {
			t.Errorf("a socket that watches no one is sent %+v", got)
		}
		w.hub.Close()
	})
}

// TestGoingOfflineRightAfterTheResponseIsSent: the response reported bob as online, and
// the watchers were not notified of that before they went offline.
func TestGoingOfflineRightAfterTheResponseIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hub.Config{})
		watcher := w.connect("ada")
		watcher.socket.Watch([]chat.UserID{"bob"})
		bob := w.connect("bob")
		equal(t, "online", w.hub.Online([]chat.UserID{"bob"}), []chat.UserID{"bob"})
		bob.socket.Close()
		time.Sleep(3 * time.Second) // of the test's own clock
		synctest.Wait()
		watcher.wantFrames(t, presenceFrame("bob", false))
		w.hub.Close()
	})
}

func TestAWatcherThatWasSlowIsSentTheLatestPresence(t *testing.T) {
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
		ada.wantFrames(t, messageFrame(id, 1, "fills the buffer"), presenceFrame("bob", true))
		w.hub.Close()
	})
}
