package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// testLog: the entries read are the entries that the commits returned.
func testLog(t *testing.T, b *bench) {
	b.users("eve", "ada", "bob")
	create := b.creation(chat.Channel{Name: "c", ChannelType: chat.Group, IsPrivate: true}, "", "ada", "bob")
	id := create.ChannelID
	message := b.message(id, "ada", "x")
	react := b.about(state.AddReaction, id, "bob", message.ID)
	react.Emoji = "👍"
	var want []chat.Entry
	var types []chat.EventType
	for _, c := range []state.Change{
		create, message, b.edit(id, "ada", message.ID, "y"), react,
		b.member(state.AddMember, id, "ada", "eve", chat.RoleGuest), b.member(state.RemoveMember, id, "ada", "eve", ""),
	} {
		e := b.commit(c).Entry
		if e.Type == "" || e.ChannelID != id || e.UserID == "" || e.At == 0 {
			t.Errorf("entry %d lacks a field that every entry has: %+v", e.Seq, e)
		}
		want, types = append(want, *e), append(types, e.Type)
	}
	b.equal("the types", []chat.EventType{
		chat.EventChannelJoined, chat.EventMessage, chat.EventMessageUpdated, chat.EventMessageReaction,
		chat.EventMemberJoined, chat.EventMemberLeft,
	}, types)
	b.equal("the first members", []chat.UserID{"ada", "bob"}, want[0].InitialMembers)
	// The log has messages as they are now.
	m := *want[1].Message
	m.Content, m.IsEdited = "y", true
	want[1].Message = &m
	b.equal("the log", want, b.log(id))
	part, err := b.s.Log(t.Context(), id, 2, 2)
	b.must(err)
	b.equal("a part of the log", want[2:4], part)
}

// testRetention: a client that resumes from before forgotten changes must load the channel
// again. Messages are kept.
func testRetention(t *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	m := b.send(id, "ada", "first")
	for _, text := range []string{"second", "third", "fourth"} {
		b.commit(b.edit(id, "ada", m.ID, text))
	}
	limit := b.now()
	react := b.about(state.AddReaction, id, "bob", m.ID)
	react.Emoji = "👍"
	reaction := b.commit(react).Entry

	for _, limits := range []int{2, 10, 10} { // in batches, until none is left
		_, err := b.s.ForgetChanges(t.Context(), limit, limits)
		b.must(err)
	}
	n, err := b.s.ForgetChanges(t.Context(), limit, 10)
	b.must(err)
	if n != 0 {
		t.Errorf("forgot %d more changes, want none", n)
	}
	_, err = b.s.Log(t.Context(), id, reaction.Seq-2, 10)
	b.fails(err, chat.Resync)
	_, err = b.s.Log(t.Context(), other, 0, 10)
	b.fails(err, chat.Resync)
	log, err := b.s.Log(t.Context(), id, reaction.Seq-1, 10)
	b.must(err)
	b.equal("what is kept of the log", []chat.Entry{*reaction}, log)
	page, err := b.s.History(t.Context(), model.HistoryQuery{ChannelID: id, Viewer: "bob", Limit: 10})
	b.must(err)
	if len(page) != 1 || page[0].Content != "fourth" || page[0].ReactionCount != 1 {
		t.Errorf("the history is %+v, want the message as it was", page)
	}
	if next := b.send(id, "ada", "after"); next.Seq != reaction.Seq+1 {
		t.Errorf("the next entry has seq %d, want %d", next.Seq, reaction.Seq+1)
	}
}

// testDeleteUpTo: deleted entries are gone, and the channel goes on where it was.
func testDeleteUpTo(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	for range 5 {
		b.send(id, "ada", "x")
	}
	other := b.channel("ada")
	b.must(b.s.DeleteUpTo(t.Context(), id, 4))
	seqs := func(channel chat.ID, after chat.Seq) (all []chat.Seq) {
		t.Helper()
		log, err := b.s.Log(t.Context(), channel, after, 100)
		b.must(err)
		for _, e := range log {
			all = append(all, e.Seq)
		}
		return all
	}
	b.equal("what is left", []chat.Seq{5, 6}, seqs(id, 4))
	b.equal("from the beginning", []chat.Seq(nil), seqs(id, 0))
	b.equal("another channel", []chat.Seq{1}, seqs(other, 0))
	if m := b.send(id, "ada", "x"); m.Seq != 7 {
		t.Errorf("the next message has seq %d, want 7", m.Seq)
	}
	states, err := b.s.ChannelStates(t.Context(), "bob")
	b.must(err)
	if len(states) != 1 || states[0].LastSeq != 7 {
		t.Errorf("bob's channels are %+v, want one with the head 7", states)
	}
}
