package hub_test

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/hub"
)

// resumed is what Resume returns.
type resumed struct {
	Ranges         map[chat.ID]chat.SeqRange
	Resync, Denied []chat.ID
}

func resume(c *conn, cursors map[chat.ID]chat.Seq) (r resumed) {
	r.Ranges, r.Resync, r.Denied = c.socket.Resume(cursors)
	return r
}

func resyncFrame(channel chat.ID) wire {
	return wire{Type: chat.EventError, Code: chat.Resync, ChannelID: channel}
}

func TestResumeSendsWhatFollowsTheCursor(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	w.write(id, messages("bob", 1000)...)
	c := w.connect("ada")
	got := resume(c, map[chat.ID]chat.Seq{id: 400})
	equal(t, "resumed", got, resumed{Ranges: map[chat.ID]chat.SeqRange{id: {From: 400, To: 1000}}})
	w.publish(id, message("bob", "live"))
	inOrder(t, c.frames(t, 601), id, 401, 1001)
}

func TestResumeRefusesTheFutureAndForeignChannels(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id, foreign := w.channel("ada"), w.channel("bob")
	w.write(id, messages("bob", 5)...)
	got := resume(w.connect("ada"), map[chat.ID]chat.Seq{id: 6, foreign: 0})
	equal(t, "resumed", got, resumed{
		Ranges: map[chat.ID]chat.SeqRange{}, Resync: []chat.ID{id}, Denied: []chat.ID{foreign},
	})
}

func TestResumeFromBeforeTheFloorOfTheLogIsAResync(t *testing.T) {
	w := newWorld(t, hub.Config{RingBytes: 1})
	id := w.channel("ada")
	w.write(id, messages("bob", 600)...)
	w.floor = 300 // not where a page begins
	early, late := w.connect("ada"), w.connect("ada")
	resume(early, map[chat.ID]chat.Seq{id: 299})
	resume(late, map[chat.ID]chat.Seq{id: 300})
	inOrder(t, late.frames(t, 300), id, 301, 600)
	early.wantFrames(t, resyncFrame(id))
	w.publish(id, message("bob", "live"))
	early.wantFrames(t, resyncFrame(id), messageFrame(id, 601, "live"))
}

// TestDeletedRowsStopNoSubscription deletes rows as an operator might. A socket that
// would have been sent them is sent a resync, and then what follows.
func TestDeletedRowsStopNoSubscription(t *testing.T) {
	for name, gone := range map[string][2]chat.Seq{
		"one":                 {300, 300},
		"where a page begins": {257, 257},
		"more than a page":    {200, 500},
		"pages":               {257, 512},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hub.Config{RingBytes: 1})
			id := w.channel("ada")
			w.deleted = func(seq chat.Seq) bool { return gone[0] <= seq && seq <= gone[1] }
			w.write(id, messages("bob", 600)...)
			before, after := w.connect("ada"), w.connect("ada")
			resume(before, map[chat.ID]chat.Seq{id: 150})
			resume(after, map[chat.ID]chat.Seq{id: gone[1]})
			inOrder(t, after.frames(t, int(600-gone[1])), id, gone[1]+1, 600)
			sent := int(gone[0] - 151)
			got := before.frames(t, sent+1)
			inOrder(t, got[:sent], id, 151, gone[0]-1)
			equal(t, "the frame after the entries before the gap", got[sent], resyncFrame(id))
			w.publish(id, message("bob", "live"))
			inOrder(t, before.frames(t, sent+2)[sent+1:], id, 601, 601)
		})
	}
}

// TestAGapThatCannotBeFilledIsSkipped by a hub that was sent an entry beyond it.
func TestAGapThatCannotBeFilledIsSkipped(t *testing.T) {
	for _, gone := range []chat.Seq{1, 300, 600} {
		w := newWorld(t, hub.Config{})
		id := w.channel("ada")
		c := w.connect("ada")
		w.deleted = func(seq chat.Seq) bool { return seq > 2 && seq <= 2+gone }
		w.write(id, messages("bob", int(2+gone))...) // not published here
		w.publish(id, message("bob", "beyond"))
		got := c.frames(t, 3)
		inOrder(t, got[:2], id, 1, 2)
		equal(t, "the frame after the entries before the gap", got[2], resyncFrame(id))
		// The entry beyond the gap is a part of what the client reloads, or is sent.
		for got[len(got)-1].Seq <= 3+gone {
			w.publish(id, message("bob", "and on"))
			got = c.frames(t, len(got)+1)
		}
	}
}

func TestALogThatCannotBeReadIsReadAgain(t *testing.T) {
	w := newWorld(t, hub.Config{})
	id := w.channel("ada")
	c := w.connect("ada")
	w.publish(id, message("bob", "1"))
	c.frames(t, 1)
	w.failOnce("LogTo", func() {
		w.write(id, message("bob", "2"))
		w.publish(id, message("bob", "3"))
	})
	inOrder(t, c.frames(t, 3), id, 1, 3)
}
