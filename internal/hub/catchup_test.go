package hub_test

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

func TestResumeServesFromTheCursorAndThenLive(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	w.write(id, messages("bob", 1000)...)
	c := w.connect("ada")
	resumed, resync, denied := c.socket.Resume(map[chat.ID]chat.Seq{id: 400})
	if got := resumed[id]; got != (chat.SeqRange{From: 400, To: 1000}) || len(resync)+len(denied) != 0 {
		t.Errorf("resumed %+v, resync %v, denied %v", got, resync, denied)
	}
	w.publish(id, message("bob", "live"))
	inOrder(t, c.frames(t, 601), id, 401, 1001)
}

// TestWhatIsForgottenIsToldToBeLoadedAgain, and served as far as it is kept.
func TestWhatIsForgottenIsToldToBeLoadedAgain(t *testing.T) {
	w := newWorld(t, hub.Config{RingBytes: 1})
	id := w.channel("ada")
	w.write(id, messages("bob", 600)...)
	w.floor = 300 // not where a page begins
	early, late := w.connect("ada"), w.connect("ada")
	early.socket.Resume(map[chat.ID]chat.Seq{id: 299})
	late.socket.Resume(map[chat.ID]chat.Seq{id: 300})
	inOrder(t, late.frames(t, 300), id, 301, 600)
	if got := early.frames(t, 1); got[0].Type != chat.EventError || got[0].Code != chat.Resync || got[0].ChannelID != id {
		t.Errorf("got %+v", got)
	}
	w.publish(id, message("bob", "live"))
	if got := early.frames(t, 2); len(got) != 2 || got[1].Seq != 601 {
		t.Errorf("got %+v", got)
	}
}

// TestEntriesThatAreGoneFromTheDatabaseStopNobody: an operator deleted rows by hand.
// Whoever would have been sent them is told to load the channel again, and hears what
// comes after.
func TestEntriesThatAreGoneFromTheDatabaseStopNobody(t *testing.T) {
	for name, gone := range map[string][2]chat.Seq{"one": {300, 300}, "where a page begins": {257, 257}, "more than a page": {200, 500}, "pages": {257, 512}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hub.Config{RingBytes: 1})
			id := w.channel("ada")
			w.lost = func(seq chat.Seq) bool { return gone[0] <= seq && seq <= gone[1] }
			w.write(id, messages("bob", 600)...)
			away, after := w.connect("ada"), w.connect("ada")
			away.socket.Resume(map[chat.ID]chat.Seq{id: 150})
			after.socket.Resume(map[chat.ID]chat.Seq{id: gone[1]})
			inOrder(t, after.frames(t, int(600-gone[1])), id, gone[1]+1, 600)
			before := int(gone[0] - 151)
			got := away.frames(t, before+1)
			inOrder(t, got[:before], id, 151, gone[0]-1)
			if last := got[before]; last.Type != chat.EventError || last.Code != chat.Resync || last.ChannelID != id {
				t.Fatalf("got %+v", last)
			}
			w.publish(id, message("bob", "live"))
			inOrder(t, away.frames(t, before+2)[before+1:], id, 601, 601)
		})
	}
}

// TestAHoleThatCannotBeFilledIsPassed by a node that was told of what is beyond it.
func TestAHoleThatCannotBeFilledIsPassed(t *testing.T) {
	for _, gone := range []chat.Seq{1, 300, 600} {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada")
		c := w.connect("ada")
		w.lost = func(seq chat.Seq) bool { return seq > 2 && seq <= 2+gone }
		w.write(id, messages("bob", int(2+gone))...) // published elsewhere
		w.publish(id, message("bob", "beyond"))
		got := c.frames(t, 3)
		inOrder(t, got[:2], id, 1, 2)
		if got[2].Code != chat.Resync || got[2].ChannelID != id {
			t.Errorf("%d are gone: got %+v", gone, got)
		}
		// What is beyond is a part of what is loaded again, or is told.
		for got[len(got)-1].Seq <= 3+gone {
			w.publish(id, message("bob", "and on"))
			got = c.frames(t, len(got)+1)
		}
	}
}
