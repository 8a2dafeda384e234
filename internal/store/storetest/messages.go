package storetest

import (
	"fmt"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

func testMessages(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	c := b.message(id, "ada", "hi")
	c.Message.MentionedUserIDs, c.Message.ClientID = []chat.UserID{"bob", "eve"}, "k"
	c.Message.FileURL, c.Message.FileSize = ptr("https://example.org/a.png"), ptr(int64(5))
	author := (&chat.User{ID: "ada", Name: "Name of ada"}).Ref(false)
	want := *c.Message
	want.Seq, want.Ordinal, want.CreatedAt, want.UpdatedAt = 2, 1, c.At, c.At
	want.User, want.Reactions = author, []chat.Reaction{}
	b.equal("the outcome's message", &want, b.commit(c).Message)
	got, err := b.s.Message(t.Context(), id, c.ID, "bob")
	b.must(err)
	b.equal("the stored message", &want, got)

	b.refused(b.try(b.message(id, "eve", "x")), chat.Forbidden)
	b.refused(b.try(b.message(chat.NewID(), "ada", "x")), chat.Forbidden)
	_, err = b.s.Message(t.Context(), id, c.ID, "eve")
	b.fails(err, chat.Forbidden)
	_, err = b.s.Message(t.Context(), b.channel("ada"), c.ID, "ada")
	b.fails(err, chat.NotFound)
}

func testReplies(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	parent := b.send(id, "ada", "question")
	reply := b.message(id, "bob", "answer")
	reply.Message.ParentMessageID = &parent.ID
	b.commit(reply)
	want := *parent
	want.ThreadReplyCount, want.ThreadLastReplyAt = 1, &reply.At
	got, err := b.s.Message(t.Context(), id, parent.ID, "bob")
	b.must(err)
	b.equal("the parent", &want, got)

	foreign := b.message(b.channel("ada"), "ada", "from another channel")
	foreign.Message.ParentMessageID = &parent.ID
	b.refused(b.try(foreign), chat.NotFound) // D-54
}

// testRefusedAmongOthers: refused messages leave no gap in the seqs and ordinals of the
// others, however often their senders have sent before.
func testRefusedAmongOthers(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada", "bob")
	b.users("eve")
	for round := range 4 { // what is cached from the first round must not matter
		group := []state.Change{
			b.message(id, "ada", "1"), b.message(id, "eve", "not a member"), b.message(id, "bob", "2"),
			b.message(other, "eve", "not a member"), b.message(id, "ada", "3"),
			b.message(chat.NewID(), "ada", "no channel"), b.message(other, "bob", "1"),
		}
		outs, err := b.s.Commit(t.Context(), group)
		b.must(err)
		for i, c := range group {
			text := c.Message.Content
			switch {
			case text == "not a member", text == "no channel":
				b.refused(outs[i], chat.Forbidden)
			case outs[i].Err != nil:
				t.Errorf("%s: %v", text, outs[i].Err)
			case c.ChannelID == id && fmt.Sprint(outs[i].Message.Ordinal-int64(3*round)) != text:
				t.Errorf("message %s of round %d has ordinal %d", text, round, outs[i].Message.Ordinal)
			}
		}
	}
	if n := len(b.log(id)) + len(b.log(other)); n != 2+4*4 {
		t.Errorf("the logs have %d entries, want %d", n, 2+4*4)
	}
	b.commit(b.member(state.RemoveMember, other, "ada", "bob", ""))
	b.refused(b.try(b.message(other, "bob", "x")), chat.Forbidden)
}

func testBadChange(t *testing.T, b *bench) {
	id := b.channel("ada")
	outs, err := b.s.Commit(t.Context(), []state.Change{
		b.message(id, "ada", "good"), b.message(id, "eve", "not a member"),
		b.message(id, "ada", "a\x00b"), b.message(id, "ada", "\xff"), b.message(id, "ada", "good too"),
	})
	b.must(err)
	b.refused(outs[1], chat.Forbidden)
	b.refused(outs[2], chat.BadRequest)
	b.refused(outs[3], chat.BadRequest)
	var texts []string
	for _, e := range b.log(id)[1:] {
		texts = append(texts, e.Message.Content)
	}
	b.equal("the messages stored", []string{"good", "good too"}, texts)
	b.must(outs[0].Err)
	b.must(outs[4].Err)
}

func testEdits(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	m := b.send(id, "ada", "old")
	edit := b.edit(id, "ada", m.ID, "new")
	out := b.commit(edit)
	b.equal("the entry", &chat.Entry{
		Type: chat.EventMessageUpdated, ChannelID: id, Seq: 3, UserID: "ada", At: edit.At, MessageID: m.ID, Content: "new",
	}, out.Entry)
	want := *m
	want.Content, want.IsEdited, want.EditedAt, want.UpdatedAt = "new", true, &edit.At, edit.At
	b.equal("the message", &want, out.Message)
	if out := b.commit(b.edit(id, "ada", m.ID, "new")); out.Entry != nil {
		t.Errorf("an edit that changes nothing has the entry %+v", out.Entry)
	}
	b.refused(b.try(b.edit(id, "bob", m.ID, "x")), chat.Forbidden)
	b.refused(b.try(b.edit(id, "ada", chat.NewID(), "x")), chat.NotFound)

	b.refused(b.try(b.about(state.DeleteMessage, id, "bob", m.ID)), chat.Forbidden)
	reply := b.message(id, "bob", "re")
	reply.Message.ParentMessageID = &m.ID
	b.commit(reply)
	if out := b.commit(b.about(state.DeleteMessage, id, "ada", m.ID)); out.Entry.MessageID != m.ID {
		t.Errorf("the entry of a deletion is about message %s, want %s", out.Entry.MessageID, m.ID)
	}
	b.refused(b.try(b.about(state.DeleteMessage, id, "ada", m.ID)), chat.NotFound)
	b.refused(b.try(b.edit(id, "ada", m.ID, "back")), chat.NotFound) // D-41
	gone, err := b.s.Message(t.Context(), id, m.ID, "bob")
	b.must(err)
	if !gone.IsDeleted || gone.Content != "" || gone.DeletedAt == nil {
		t.Errorf("a deleted message is %+v, want it without content", gone)
	}
	b.log(id)
}

func testArchive(_ *testing.T, b *bench) {
	id := b.channel("ada")
	archive := b.change(state.UpdateChannel, id, "ada")
	archive.Patch.IsArchived = ptr(true)
	b.commit(archive)
	b.refused(b.try(b.message(id, "ada", "late")), chat.Conflict)
	b.log(id)
}

func testReactions(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	m := b.send(id, "ada", "x")
	reaction := func(kind state.ChangeKind, by chat.UserID, emoji string) state.Change {
		c := b.about(kind, id, by, m.ID)
		c.Emoji = emoji
		return c
	}
	first, second := reaction(state.AddReaction, "ada", "👍"), reaction(state.AddReaction, "bob", "👍")
	b.commit(first)
	if out := b.commit(second); out.Entry == nil || out.Entry.ReactionCount != 2 {
		t.Errorf("the second reaction has the entry %+v, want a count of 2", out.Entry)
	}
	if out := b.commit(reaction(state.AddReaction, "bob", "👍")); out.Entry != nil {
		t.Errorf("a repeated reaction has the entry %+v", out.Entry)
	}
	got, err := b.s.Message(t.Context(), id, m.ID, "ada")
	b.must(err)
	want := *m
	want.ReactionCount, want.Reactions = 2, []chat.Reaction{
		{Emoji: "👍", UserID: "ada", CreatedAt: first.At}, {Emoji: "👍", UserID: "bob", CreatedAt: second.At},
	}
	b.equal("the message", &want, got)

	if out := b.commit(reaction(state.RemoveReaction, "ada", "👍")); out.Entry == nil || out.Entry.ReactionCount != 1 {
		t.Errorf("the removal has the entry %+v, want a count of 1", out.Entry)
	}
	if out := b.commit(reaction(state.RemoveReaction, "ada", "👍")); out.Entry != nil {
		t.Errorf("a repeated removal has the entry %+v", out.Entry)
	}
	for i := range chat.MaxReactions - 1 {
		b.commit(reaction(state.AddReaction, "ada", fmt.Sprint(i)))
	}
	b.refused(b.try(reaction(state.AddReaction, "ada", "one too many")), chat.Conflict)
	b.commit(reaction(state.AddReaction, "ada", "👍")) // which the message has already
	b.log(id)
}
