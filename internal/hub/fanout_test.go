package hub_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func TestEveryListenerIsSentEveryEntryInOrder(t *testing.T) {
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
				t.Errorf("%d writes to a stalled socket, want at most 1", writes)
			}
			slow.drain()
			inOrder(t, slow.frames(t, n), id, 1, int64(n))
			w.publish(id, message("bob", "live again"))
			inOrder(t, slow.frames(t, n+1), id, 1, int64(n)+1)
		})
	}
}

func TestSocketsThatStallAndDrainAtRandomAreSentEveryEntryOnce(t *testing.T) {
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

func TestAGapIsFilledFromTheLog(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "published"))
	w.write(id, messages("bob", 700)...) // not published
	w.publish(id, message("bob", "published again"))
	inOrder(t, c.frames(t, 702), id, 1, 702)
}

func TestARepeatedEntryIsSentOnce(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	entries := w.write(id, messages("bob", 3)...)
	w.hub.Publish(entries)
	w.hub.Publish(entries)
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
		c := &conn{room: -1, received: make(chan struct{}, 1)}
		s, states, err := w.hub.Attach(t.Context(), c, "ada", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		c.socket = s
		s.Open()
		defer s.Close()
		peers = append(peers, opened{c, states[0].LastSeq})
	}
	writing.Wait()
	for _, p := range peers {
		inOrder(t, p.frames(t, int(1000-p.from)), id, p.from+1, 1000)
	}
}

// TestACommitWithAnUnknownOutcomeIsSent as soon as the database responds.
func TestACommitWithAnUnknownOutcomeIsSent(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, quiet := w.channel("ada"), w.channel("bob")
	c := w.connect("ada")
	w.write(id, messages("bob", 3)...) // committed, but not published
	w.failOnce("Heads", func() { w.hub.MarkUncertain([]chat.ID{id, quiet}) })
	inOrder(t, c.frames(t, 3), id, 1, 3)
}

func TestSocketsThatResumeTogetherShareReads(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	const pages, sockets = 10, 40
	const missed = pages * 256
	w.write(id, messages("bob", missed)...)
	var resuming sync.WaitGroup
	for i := range sockets {
		c := w.connect("ada")
		resuming.Go(func() {
			from := chat.Seq(i) // some were away for longer
			c.socket.Resume(map[chat.ID]chat.Seq{id: from})
			inOrder(t, c.frames(t, int(missed-from)), id, from+1, missed)
		})
	}
	resuming.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.calls["LogTo"]; got > 4*pages {
		t.Errorf("%d reads of the log for %d sockets that missed %d pages, want at most %d", got, sockets, pages, 4*pages)
	}
}

func TestOnlyTheSenderIsSentTheClientID(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	ada, bob := w.connect("ada"), w.connect("bob")
	ev := message("ada", "hi")
	ev.Message.ClientID = "k1"
	w.publish(id, ev)
	toOthers := messageFrame(id, 1, "hi")
	toSender := toOthers
	toSender.Data.ClientID = "k1"
	ada.wantFrames(t, toSender)
	bob.wantFrames(t, toOthers)
}

// TestD21ALegacyPageIsSentMessagesOfTheChannelItShows and of no other.
func TestD21ALegacyPageIsSentMessagesOfTheChannelItShows(t *testing.T) {
	w := newWorld(t, hub.Config{})
	shown, hidden := w.channel("ada", "bob"), w.channel("ada", "bob")
	page, bob := w.connectAs("ada", true), w.connect("bob")
	if _, err := page.socket.Join(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	w.publish(hidden, message("bob", "hidden"))
	bob.frames(t, 1)
	w.publish(shown, message("bob", "shown"))
	page.wantFrames(t, messageFrame(shown, 1, "shown"))
}

// TestD22ALegacyPageIsSentItsOwnMessageAfterTheResponse to its request.
func TestD22ALegacyPageIsSentItsOwnMessageAfterTheResponse(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada", "bob")
	page, bob := w.connectAs("ada", true), w.connect("bob")
	if _, err := page.socket.Join(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	release := w.hub.DelayOwnEcho("ada", id)
	w.publish(id, message("ada", "mine"))
	bob.frames(t, 1)
	if got := page.frames(t, 0); len(got) != 0 {
		t.Errorf("before the response the page is sent %+v", got)
	}
	release()
	w.publish(id, message("bob", "next"))
	inOrder(t, page.frames(t, 2), id, 1, 2)
}
