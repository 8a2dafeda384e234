package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// repeated checks that a change is a duplicate of the entry with a seq.
func (b *bench) repeated(what string, out state.Outcome, seq chat.Seq) {
	b.t.Helper()
	if out.Err != nil || !out.Duplicate || out.Entry == nil || out.Entry.Seq != seq {
		b.t.Errorf("%s: got %+v, want a duplicate of seq %d", what, out, seq)
	}
}

func testDuplicates(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	c := b.message(id, "ada", "once")
	first := b.commit(c)
	again := c
	again.At = b.now()
	for what, group := range map[string][]state.Change{
		"alone":            {again},
		"among others":     {b.message(id, "bob", "x"), again},
		"twice in a group": {again, again},
	} {
		outs, err := b.s.Commit(t.Context(), group)
		b.must(err)
		out := outs[len(outs)-1]
		b.repeated(what, out, first.Entry.Seq)
		if out.Message.CreatedAt != c.At {
			t.Errorf("%s: the message was created at %d, want the first one's %d", what, out.Message.CreatedAt, c.At)
		}
	}
	twice := b.message(id, "ada", "new, and twice in a group")
	outs, err := b.s.Commit(t.Context(), []state.Change{twice, twice})
	b.must(err)
	if outs[0].Duplicate {
		t.Error("the first of two is a duplicate")
	}
	b.repeated("the second of two", outs[1], outs[0].Entry.Seq)
	b.log(id)
}

func testForgedDuplicates(_ *testing.T, b *bench) {
	id, other := b.channel("ada", "bob"), b.channel("ada")
	c := b.message(id, "ada", "once")
	b.commit(c)
	for _, forge := range []func(*state.Change){
		func(c *state.Change) { m := *c.Message; m.Content = "another text"; c.Message = &m },
		func(c *state.Change) { c.Actor.User = "bob" },
		func(c *state.Change) { c.ChannelID = other },
	} {
		forged := c
		forge(&forged)
		b.refused(b.try(forged), chat.Conflict)
	}
	b.log(id)
}

// testLateDuplicates: what was stored is acknowledged again, whatever its author may do by
// then.
func testLateDuplicates(_ *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	c := b.message(id, "ada", "once")
	sent := b.commit(c)
	edit := b.edit(id, "ada", c.ID, "edited")
	edited := b.commit(edit)
	b.repeated("a send after an edit", b.try(c), sent.Entry.Seq)

	last := b.message(id, "bob", "bob's last message")
	lastSent := b.commit(last)
	b.commit(b.member(state.RemoveMember, id, "bob", "bob", ""))
	b.repeated("a send after leaving", b.try(last), lastSent.Entry.Seq)
	b.refused(b.try(b.message(id, "bob", "after leaving")), chat.Forbidden)

	again := b.try(edit)
	b.repeated("an edit", again, edited.Entry.Seq)
	b.equal("the entry of a repeated edit", edited.Entry, again.Entry)
	b.log(id)
}
