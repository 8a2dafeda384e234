package hub_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func TestEveryListenerGetsEveryEventInOrder(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob", "eve")
	peers := []*conn{w.connect("ada"), w.connect("ada"), w.connect("bob")}
	for range 100 {
		w.publish(id, messages("ada", 3)...)
	}
	for _, c := range peers {
		inOrder(t, c.frames(t, 300), id, 1, 300)
	}
}

func TestASlowSocketKeepsOneWriteAndLosesNothing(t *testing.T) {
	for _, n := range []int{10, 2000} { // within the ring, and far beyond it
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t, hub.Config{})
			id := w.channel("ada", "bob")
			slow, quick := w.connect("ada"), w.connect("bob")
			slow.stall()
			for range n {
				w.publish(id, message("bob", "x"))
			}
			inOrder(t, quick.frames(t, n), id, 1, int64(n))
			slow.mu.Lock()
			writes := slow.writes
			slow.mu.Unlock()
			if writes > 1 { // 0 when it fell behind before its first
				t.Errorf("a stalled socket was given %d writes, want at most 1", writes)
			}
			slow.drain()
			inOrder(t, slow.frames(t, n), id, 1, int64(n))
			w.publish(id, message("bob", "live again"))
			inOrder(t, slow.frames(t, n+1), id, 1, int64(n)+1)
		})
	}
}

func TestSocketsThatStallAndDrainAtRandomSeeEveryEventOnce(t *testing.T) {
	w := newWorld(t, hub.Config{RingBytes: 4 << 10})
	id := w.channel("ada", "bob")
	var peers []*conn
	for range 8 {
		peers = append(peers, w.connect("ada"))
	}
	const total = 1500
	var running sync.WaitGroup
	for i, c := range peers {
		running.Go(func() {
			for range 100 + 10*i {
				c.stall()
				c.drain()
			}
		})
	}
	for range total / 5 {
		w.publish(id, messages("bob", 5)...)
	}
	running.Wait()
	for _, c := range peers {
		c.drain()
		inOrder(t, c.frames(t, total), id, 1, total)
	}
}

func TestAHoleIsFilledFromTheLog(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "seen"))
	w.write(id, messages("bob", 700)...) // published to nobody
	w.publish(id, message("bob", "seen again"))
	inOrder(t, c.frames(t, 702), id, 1, 702)
}

func TestAnEventToldTwiceIsHeardOnce(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	events := w.write(id, messages("bob", 3)...)
	w.hub.Publish(events)
	w.hub.Publish(events)
	w.publish(id, message("bob", "last"))
	inOrder(t, c.frames(t, 4), id, 1, 4)
}

func TestNothingIsMissedWhileSocketsOpen(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	var writing sync.WaitGroup
	writing.Go(func() {
		for range 1000 {
			w.publish(id, message("bob", "x"))
		}
	})
	type opened struct {
		*conn
		from chat.Seq
	}
	var peers []opened
	for range 50 {
		c := &conn{room: -1, news: make(chan struct{}, 1)}
		s, standings, err := w.hub.Attach(t.Context(), c, "ada", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		c.socket = s
		s.Open()
		defer s.Close()
		peers = append(peers, opened{c, standings[0].LastSeq})
	}
	writing.Wait()
	for _, p := range peers {
		inOrder(t, p.frames(t, int(1000-p.from)), id, p.from+1, 1000)
	}
}

// TestWhatACommitOfUnknownFateLeftIsHeard, as soon as the database can be asked.
func TestWhatACommitOfUnknownFateLeftIsHeard(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, quiet := w.channel("ada"), w.channel("bob")
	c := w.connect("ada")
	w.write(id, messages("bob", 3)...) // committed, but published to nobody
	w.mu.Lock()
	w.fail = true
	asked := w.asked["heads"]
	w.mu.Unlock()
	w.hub.Doubt([]chat.ID{id, quiet})
	for failed := false; !failed; {
		w.mu.Lock()
		failed = w.asked["heads"] > asked
		w.fail = !failed
		w.mu.Unlock()
	}
	inOrder(t, c.frames(t, 3), id, 1, 3)
}

// TestWhoComesBackTogetherReadsTogether: what many missed is read about once.
func TestWhoComesBackTogetherReadsTogether(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	const missed, sockets = 10 * 256, 40
	w.write(id, messages("bob", missed)...)
	var coming sync.WaitGroup
	for i := range sockets {
		c := w.connect("ada")
		coming.Go(func() {
			from := chat.Seq(i) // not all were away for as long
			c.socket.Resume(map[chat.ID]chat.Seq{id: from})
			inOrder(t, c.frames(t, int(missed-from)), id, from+1, missed)
		})
	}
	coming.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.asked["log"]; n > 4*missed/256 {
		t.Errorf("the log was read %d times for %d sockets that missed %d pages", n, sockets, missed/256)
	}
}

func TestResumeRefusesTheFutureAndForeignChannels(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, foreign := w.channel("ada"), w.channel("bob")
	w.write(id, messages("bob", 5)...)
	c := w.connect("ada")
	resumed, resync, denied := c.socket.Resume(map[chat.ID]chat.Seq{id: 6, foreign: 0})
	if len(resumed) != 0 || len(resync) != 1 || resync[0] != id || len(denied) != 1 || denied[0] != foreign {
		t.Errorf("resumed %v, resync %v, denied %v", resumed, resync, denied)
	}
}

func joined(who chat.UserID) chat.Entry {
	return chat.Entry{Type: chat.EventMemberJoined, UserID: "bob", Subject: who, Channel: &chat.Channel{Name: "c"}}
}

func left(who chat.UserID) chat.Entry {
	return chat.Entry{Type: chat.EventMemberLeft, UserID: "bob", Subject: who}
}

func TestANewMemberHearsFromJoiningOn(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("bob")
	bob, ada := w.connect("bob"), w.connect("ada")
	w.publish(id, message("bob", "before"), joined("ada"), message("bob", "after"))
	got := ada.frames(t, 2)
	if got[0].Type != chat.EventChannelJoined || got[0].Seq != 2 || got[1].Seq != 3 {
		t.Errorf("got %+v", got)
	}
	if got := bob.frames(t, 3); got[1].Type != chat.EventMemberJoined || got[1].UserID != "ada" {
		t.Errorf("the others got %+v", got[1])
	}
	if member, known := w.hub.IsMember(id, "ada"); !member || !known {
		t.Errorf("member %v, known %v", member, known)
	}
}

func TestTheFirstMemberHereOfAChannelHears(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("bob") // has no socket
	ada := w.connect("ada")
	w.publish(id, message("bob", "before"), joined("ada"))
	w.publish(id, message("bob", "after"))
	if got := ada.frames(t, 2); got[0].Type != chat.EventChannelJoined || got[1].Data.Content != "after" {
		t.Errorf("got %+v", got)
	}
}

// TestD52ARemovedMemberHearsNothingMore, whether quick or slow, and hears again
// once back.
func TestD52ARemovedMemberHearsNothingMore(t *testing.T) {
	for _, slow := range []bool{false, true} {
		t.Run(fmt.Sprintf("slow=%v", slow), func(t *testing.T) {
			w := newWorld(t, hub.Config{})
			id := w.channel("ada", "bob")
			ada, bob := w.connect("ada"), w.connect("bob")
			if slow {
				ada.stall()
			}
			w.publish(id, message("bob", "1"), message("bob", "2"), left("ada"), message("bob", "secret"), joined("ada"), message("bob", "back"))
			bob.frames(t, 6)
			if slow {
				ada.drain()
			}
			got := ada.frames(t, 5)
			var seqs []chat.Seq
			for _, f := range got {
				seqs = append(seqs, f.Seq)
			}
			if fmt.Sprint(seqs) != "[1 2 3 5 6]" || got[2].Type != chat.EventChannelLeft || got[3].Type != chat.EventChannelJoined {
				t.Errorf("got seqs %v: %+v", seqs, got)
			}
			w.publish(id, left("ada"), message("bob", "secret"))
			bob.frames(t, 8)
			ada.frames(t, 6)
			if member, _ := w.hub.IsMember(id, "ada"); member {
				t.Error("still a member")
			}
			w.publish(id, joined("ada"))
			if got := ada.frames(t, 7); got[6].Seq != 9 {
				t.Errorf("got seq %d after coming back, want 9", got[6].Seq)
			}
		})
	}
}

func TestOnlyTheSenderSeesHisClientID(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	ada, bob := w.connect("ada"), w.connect("bob")
	ev := message("ada", "hi")
	ev.Message.ClientID = "k1"
	w.publish(id, ev)
	if got := ada.frames(t, 1)[0].Data.ClientID; got != "k1" {
		t.Errorf("the sender got client_id %q", got)
	}
	if got := bob.frames(t, 1)[0].Data.ClientID; got != "" {
		t.Errorf("another got client_id %q", got)
	}
}

func TestLeftChannelsAreSilentUntilJoinedAgain(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, other := w.channel("ada", "bob"), w.channel("ada")
	ada, bob := w.connect("ada"), w.connect("bob")
	ada.socket.Leave(id)
	w.publish(id, message("bob", "unheard"))
	bob.frames(t, 1)
	if seq, err := ada.socket.Join(t.Context(), id); err != nil || seq != 1 {
		t.Errorf("join: %d, %v", seq, err)
	}
	w.publish(id, message("bob", "heard"))
	w.publish(other, message("bob", "other"))
	for _, f := range ada.frames(t, 2) {
		if f.Data.Content == "unheard" {
			t.Error("heard a channel that was left")
		}
	}
	if _, err := ada.socket.Join(t.Context(), w.channel("bob")); chat.AsError(err).Code != chat.Forbidden {
		t.Errorf("join of a foreign channel: %v", err)
	}
}

func TestNothingIsKeptOfSocketsThatAreGone(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "x"))
	c.frames(t, 1)
	c.socket.Close()
	c.socket.Close()
	if n := w.hub.Listening(); n != 0 {
		t.Errorf("%d channels are kept", n)
	}
	w.publish(id, message("bob", "to nobody"))
	if got := len(w.hub.Online(nil)); got != 0 {
		t.Errorf("%d users online", got)
	}
}

func TestALogThatCannotBeReadIsReadLater(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "1"))
	c.frames(t, 1)
	w.mu.Lock()
	w.fail = true
	w.mu.Unlock()
	w.write(id, message("bob", "2"))
	w.publish(id, message("bob", "3"))
	for {
		w.mu.Lock()
		tried := w.asked["log"] > 0
		w.fail = !tried
		w.mu.Unlock()
		if tried {
			break
		}
	}
	inOrder(t, c.frames(t, 3), id, 1, 3)
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
	if _, _, err := w.hub.Attach(t.Context(), &conn{}, "ada", 3, false); chat.AsError(err).Code != chat.RateLimited {
		t.Errorf("the fourth of three: %v", err)
	}
	if _, _, err := w.hub.Attach(t.Context(), &conn{}, "bob", 3, false); err != nil {
		t.Errorf("another user: %v", err)
	}
}
