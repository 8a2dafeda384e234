// Package storetest is the one suite of behaviours that every database behind the
// store must show.
package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// Run runs the suite. open opens one database, the same at each call of one test.
func Run(t *testing.T, open func(t *testing.T) func() *store.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, b *bench)
	}{
		{"Messages", testMessages},
		{"OrderUnderLoad", testOrderUnderLoad},
		{"Duplicates", testDuplicates},
		{"RefusedAmongOthers", testRefusedAmongOthers},
		{"OwnReads", testOwnReads},
		{"Edits", testEdits},
		{"Reactions", testReactions},
		{"Members", testMembers},
		{"RemovedMemberCannotSlipIn", testRemovedMember},
		{"Direct", testDirect},
		{"Channels", testChannels},
		{"History", testHistory},
		{"Log", testLog},
		{"Retention", testRetention},
		{"Reads", testReads},
		{"Unread", testUnread},
		{"BadChangeFailsAlone", testBadChange},
		{"Gather", testGather},
		{"Users", testUsers},
		{"Accounts", testAccounts},
		{"Sessions", testSessions},
		{"Tickets", testTickets},
		{"Reopen", testReopen},
		{"Trim", testTrim},
		{"Nodes", testNodes},
		{"Ahead", testAhead},
		{"Joins", testJoins},
		{"Revocations", testRevocations},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			again := open(t)
			c.test(t, &bench{t: t, again: again, s: again()})
		})
	}
}

func testMessages(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	c := b.message(id, "ada", "hi")
	url, size := "https://example.org/a.png", int64(5)
	c.Message.MentionedUserIDs, c.Message.FileURL, c.Message.FileSize, c.Message.ClientID = []chat.UserID{"bob", "eve"}, &url, &size, "k"
	out := b.commit(c)
	if out.Err != nil || out.Entry.Seq != 2 || out.Entry.Message.User.Name != "Name of ada" {
		t.Fatalf("got %+v", out)
	}
	m, err := b.s.Message(t.Context(), id, c.ID, "bob")
	b.must(err)
	if m.Content != "hi" || m.Seq != 2 || len(m.MentionedUserIDs) != 2 || *m.FileURL != url || *m.FileSize != 5 || m.FileName != nil ||
		m.ClientID != "k" || m.CreatedAt != c.At || m.User.Name != "Name of ada" || m.EditedAt != nil || m.Reactions == nil {
		t.Errorf("got %+v", m)
	}
	b.refused(b.commit(b.message(id, "eve", "x")), chat.Forbidden)
	b.refused(b.commit(b.message(chat.NewID(), "ada", "x")), chat.Forbidden)
	reply := b.message(id, "bob", "re")
	reply.Message.ParentMessageID = &c.ID
	if out := b.commit(reply); out.Err != nil {
		t.Fatal(out.Err)
	}
	if m, err = b.s.Message(t.Context(), id, c.ID, "bob"); err != nil || m.ThreadReplyCount != 1 || *m.ThreadLastReplyAt != reply.At {
		t.Errorf("the parent: %+v, %v", m, err)
	}
	other := b.channel("ada")
	reply = b.message(other, "ada", "re")
	reply.Message.ParentMessageID = &c.ID
	b.refused(b.commit(reply), chat.NotFound) // D-54
	_, err = b.s.Message(t.Context(), id, c.ID, "eve")
	b.fails(err, chat.Forbidden)
	_, err = b.s.Message(t.Context(), other, c.ID, "ada")
	b.fails(err, chat.NotFound)
}

func testOrderUnderLoad(t *testing.T, b *bench) {
	var channels []chat.ID
	for range 5 {
		channels = append(channels, b.channel("ada", "bob"))
	}
	const committers, groups, size = 8, 12, 20
	var mu sync.Mutex
	acked := make(map[chat.ID]map[chat.Seq]chat.ID)
	var running sync.WaitGroup
	for w := range committers {
		running.Go(func() { // ends with the test
			for range groups {
				var group []state.Change
				for i := range size {
					mu.Lock()
					group = append(group, b.message(channels[(w+i)%len(channels)], "ada", "x"))
					mu.Unlock()
				}
				out, err := b.s.Commit(context.WithoutCancel(t.Context()), group)
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				for i, o := range out {
					if o.Err != nil {
						t.Errorf("refused: %v", o.Err)
						continue
					}
					of := acked[group[i].ChannelID]
					if of == nil {
						of = make(map[chat.Seq]chat.ID)
						acked[group[i].ChannelID] = of
					}
					if of[o.Entry.Seq] != (chat.ID{}) {
						t.Errorf("seq %d was given twice", o.Entry.Seq)
					}
					of[o.Entry.Seq] = group[i].ID
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	total := 0
	for _, id := range channels {
		for _, ev := range b.log(id)[1:] {
			if acked[id][ev.Seq] != ev.Message.ID {
				t.Fatalf("seq %d holds another message than was acknowledged", ev.Seq)
			}
			total++
		}
	}
	if total != committers*groups*size {
		t.Errorf("%d messages are stored, %d were acknowledged", total, committers*groups*size)
	}
}

func testDuplicates(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	c := b.message(id, "ada", "once")
	first := b.commit(c)
	again := c
	again.At = b.now()
	for _, group := range [][]state.Change{{again}, {b.message(id, "bob", "x"), again, again}} {
		outs, err := b.s.Commit(t.Context(), group)
		b.must(err)
		out := outs[len(outs)-1]
		if out.Err != nil || !out.Duplicate || out.Entry.Seq != first.Entry.Seq || out.Message.CreatedAt != c.At {
			t.Errorf("got %+v", out)
		}
	}
	twice := b.message(id, "ada", "twice in a group")
	outs, err := b.s.Commit(t.Context(), []state.Change{twice, twice})
	b.must(err)
	if outs[0].Duplicate || !outs[1].Duplicate || outs[0].Entry.Seq != outs[1].Entry.Seq {
		t.Errorf("got %+v", outs)
	}
	for _, change := range []func(*state.Change){
		func(c *state.Change) { m := *c.Message; m.Content = "another"; c.Message = &m },
		func(c *state.Change) { c.Actor.User = "bob" },
		func(c *state.Change) { c.ChannelID = other },
	} {
		forged := again
		change(&forged)
		b.refused(b.commit(forged), chat.Conflict)
	}
	edit := b.change(state.EditMessage, id, "ada")
	edit.MessageID, edit.Content = c.ID, "edited"
	b.commit(edit)
	if out := b.commit(again); out.Err != nil || !out.Duplicate {
		t.Errorf("a repeated send after an edit: %+v", out)
	}
	// Stored is stored, whatever the author may do here by now.
	leave := b.change(state.RemoveMember, id, "ada")
	leave.Actor.User, leave.Subject = "bob", "bob"
	bobs := b.message(id, "bob", "bob's last")
	said := b.commit(bobs)
	if out := b.commit(leave); out.Err != nil {
		t.Fatal(out.Err)
	}
	if out := b.commit(bobs); out.Err != nil || !out.Duplicate || out.Entry.Seq != said.Entry.Seq {
		t.Errorf("a repeated send after leaving: %+v", out)
	}
	b.refused(b.commit(b.message(id, "bob", "after leaving")), chat.Forbidden)
	if out := b.commit(edit); out.Err != nil || !out.Duplicate || out.Entry == nil || out.Entry.Content != "edited" {
		t.Errorf("a repeated edit: %+v", out)
	}
	b.log(id)
}

func testEdits(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	m := b.send(id, "ada", "old")
	edit := func(by chat.UserID, message chat.ID, text string) state.Outcome {
		c := b.change(state.EditMessage, id, by)
		c.MessageID, c.Content = message, text
		return b.commit(c)
	}
	if out := edit("ada", m.ID, "new"); out.Err != nil || out.Entry.Type != chat.EventMessageUpdated || !out.Message.IsEdited || out.Message.Content != "new" {
		t.Errorf("got %+v", out)
	}
	if out := edit("ada", m.ID, "new"); out.Err != nil || out.Entry != nil {
		t.Errorf("an edit that changes nothing: %+v", out)
	}
	b.refused(edit("bob", m.ID, "x"), chat.Forbidden)
	b.refused(edit("ada", chat.NewID(), "x"), chat.NotFound)
	remove := func(by chat.UserID) state.Outcome {
		c := b.change(state.DeleteMessage, id, by)
		c.MessageID = m.ID
		return b.commit(c)
	}
	b.refused(remove("bob"), chat.Forbidden)
	reply := b.message(id, "bob", "re")
	reply.Message.ParentMessageID = &m.ID
	b.commit(reply)
	if out := remove("ada"); out.Err != nil || out.Entry.MessageID != m.ID {
		t.Errorf("got %+v", out)
	}
	b.refused(remove("ada"), chat.NotFound)
	b.refused(edit("ada", m.ID, "back"), chat.NotFound) // D-41
	gone, err := b.s.Message(t.Context(), id, m.ID, "bob")
	if err != nil || !gone.IsDeleted || gone.Content != "" || gone.DeletedAt == nil {
		t.Errorf("the tombstone: %+v, %v", gone, err)
	}
	archive := b.change(state.UpdateChannel, id, "ada")
	yes := true
	archive.Patch.IsArchived = &yes
	b.commit(archive)
	b.refused(b.commit(b.message(id, "ada", "late")), chat.Conflict)
	b.log(id)
}

func testReactions(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	m := b.send(id, "ada", "x")
	react := func(kind state.ChangeKind, by chat.UserID, emoji string) state.Outcome {
		c := b.change(kind, id, by)
		c.MessageID, c.Emoji = m.ID, emoji
		return b.commit(c)
	}
	for i, by := range []chat.UserID{"ada", "bob", "bob"} {
		out := react(state.AddReaction, by, "👍")
		if out.Err != nil || (out.Entry == nil) != (i == 2) {
			t.Errorf("reaction %d: %+v", i, out)
		}
	}
	got, err := b.s.Message(t.Context(), id, m.ID, "ada")
	if err != nil || got.ReactionCount != 2 || len(got.Reactions) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if out := react(state.RemoveReaction, "ada", "👍"); out.Entry == nil || out.Entry.ReactionCount != 1 {
		t.Errorf("got %+v", out)
	}
	if out := react(state.RemoveReaction, "ada", "👍"); out.Entry != nil || out.Err != nil {
		t.Errorf("got %+v", out)
	}
	for i := range chat.MaxReactions - 1 {
		react(state.AddReaction, "ada", fmt.Sprint(i))
	}
	b.refused(react(state.AddReaction, "ada", "one too many"), chat.Conflict)
	if out := react(state.AddReaction, "ada", "👍"); out.Err != nil {
		t.Errorf("one that is there: %v", out.Err)
	}
	b.log(id)
}

func testBadChange(t *testing.T, b *bench) {
	id := b.channel("ada")
	outs, err := b.s.Commit(t.Context(), []state.Change{
		b.message(id, "ada", "good"), b.message(id, "eve", "not a member"), b.message(id, "ada", "a\x00b"), b.message(id, "ada", "\xff"), b.message(id, "ada", "good too"),
	})
	b.must(err)
	b.refused(outs[1], chat.Forbidden)
	b.refused(outs[2], chat.BadRequest)
	b.refused(outs[3], chat.BadRequest)
	if outs[0].Err != nil || outs[4].Err != nil || outs[4].Entry.Seq != outs[0].Entry.Seq+1 {
		t.Errorf("got %+v and %+v", outs[0], outs[4])
	}
	if n := len(b.log(id)); n != 3 {
		t.Errorf("the log has %d entries, want 3", n)
	}
}

func testReopen(t *testing.T, b *bench) {
	id := b.channel("ada")
	b.send(id, "ada", "kept")
	epoch := b.s.Epoch()
	if b.s.Durability() != "disk" {
		t.Errorf("durability %s", b.s.Durability())
	}
	b.must(b.s.Ping(t.Context()))
	b.must(b.s.Close())
	if _, err := b.s.Channels(t.Context(), "ada", true); err == nil {
		t.Error("a closed store answers")
	}
	b.s = b.again()
	if n := len(b.log(id)); n != 2 || b.s.Epoch() != epoch {
		t.Errorf("%d entries, epoch %s and %s", n, b.s.Epoch(), epoch)
	}
}
