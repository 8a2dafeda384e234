package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// bench is what a test works with: a store, a clock, and changes by users.
type bench struct {
	t     *testing.T
	s     *store.Store
	again func() *store.Store // opens the same database once more
	clock chat.Time
}

func (b *bench) now() chat.Time { b.clock++; return 1_700_000_000_000_000 + b.clock }

// ptr returns a pointer to a copy of v.
func ptr[V any](v V) *V { return &v }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// equal compares what a test got with what it wants.
func (b *bench) equal(what string, want, got any, options ...cmp.Option) {
	b.t.Helper()
	if diff := cmp.Diff(want, got, options...); diff != "" {
		b.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// fails checks an error's code.
func (b *bench) fails(err error, code chat.Code) {
	b.t.Helper()
	if err == nil || chat.AsError(err).Code != code {
		b.t.Errorf("got error %v, want %s", err, code)
	}
}

// refused checks that a change was refused with a code.
func (b *bench) refused(out state.Outcome, code chat.Code) {
	b.t.Helper()
	if out.Err == nil || chat.AsError(out.Err).Code != code {
		b.t.Errorf("got error %v (entry %+v), want %s", out.Err, out.Entry, code)
	}
}

func (b *bench) users(ids ...chat.UserID) {
	b.t.Helper()
	for _, id := range ids {
		_, err := b.s.EnsureUser(b.t.Context(), chat.User{
			ID: id, Name: "Name of " + string(id), IsActive: true, CreatedAt: b.now(),
		})
		b.must(err)
	}
}

// channel creates users and a private channel with them. The first one owns it.
func (b *bench) channel(users ...chat.UserID) chat.ID {
	b.t.Helper()
	b.users(users...)
	return b.channelOf(chat.Channel{Name: "c", ChannelType: chat.Group, IsPrivate: true}, users...)
}

func (b *bench) channelOf(ch chat.Channel, users ...chat.UserID) chat.ID {
	b.t.Helper()
	return b.commit(b.creation(ch, "", users...)).Channel.ID
}

// creation is a change that creates a channel.
func (b *bench) creation(ch chat.Channel, key string, users ...chat.UserID) state.Change {
	c := b.change(state.CreateChannel, chat.ID{}, users[0])
	c.ChannelID, c.DirectKey = c.ID, key
	ch.ID, ch.CreatedBy, ch.CreatedAt, ch.UpdatedAt = c.ID, users[0], c.At, c.At
	c.Channel = &ch
	for i, u := range users {
		role := chat.RoleMember
		if i == 0 {
			role = chat.RoleOwner
		}
		c.Members = append(c.Members, state.InitialMember{UserID: u, Role: role})
	}
	return c
}

func (b *bench) change(kind state.ChangeKind, channel chat.ID, by chat.UserID) state.Change {
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor(by), At: b.now()}
}

// message is a change that sends a message.
func (b *bench) message(channel chat.ID, by chat.UserID, text string) state.Change {
	c := b.change(state.SendMessage, channel, by)
	c.Message = &chat.Message{ID: c.ID, ChannelID: channel, UserID: by, Content: text, MessageType: chat.Text}
	return c
}

// about is a change of a message.
func (b *bench) about(kind state.ChangeKind, channel chat.ID, by chat.UserID, message chat.ID) state.Change {
	c := b.change(kind, channel, by)
	c.MessageID = message
	return c
}

// edit is a change of a message's text.
func (b *bench) edit(channel chat.ID, by chat.UserID, message chat.ID, text string) state.Change {
	c := b.about(state.EditMessage, channel, by, message)
	c.Content = text
	return c
}

// member is a change of a member.
func (b *bench) member(kind state.ChangeKind, channel chat.ID, by, subject chat.UserID, role chat.Role) state.Change {
	c := b.change(kind, channel, by)
	c.Subject, c.Role = subject, role
	return c
}

// try commits one change.
func (b *bench) try(c state.Change) state.Outcome {
	b.t.Helper()
	out, err := b.s.Commit(b.t.Context(), []state.Change{c})
	b.must(err)
	return out[0]
}

// commit commits one change that must not be refused.
func (b *bench) commit(c state.Change) state.Outcome {
	b.t.Helper()
	out := b.try(c)
	b.must(out.Err)
	return out
}

func (b *bench) send(channel chat.ID, by chat.UserID, text string) *chat.Message {
	b.t.Helper()
	return b.commit(b.message(channel, by, text)).Message
}

// log reads a channel's whole log, and checks that it has no gaps and ends at the head.
func (b *bench) log(channel chat.ID) []chat.Entry {
	b.t.Helper()
	var all []chat.Entry
	for {
		page, err := b.s.Log(b.t.Context(), channel, int64(len(all)), 100)
		b.must(err)
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	for i, e := range all {
		if e.Seq != int64(i)+1 {
			b.t.Fatalf("entry %d of the log has seq %d", i+1, e.Seq)
		}
	}
	heads, err := b.s.Heads(b.t.Context(), []chat.ID{channel})
	b.must(err)
	if heads[channel] != int64(len(all)) {
		b.t.Fatalf("the head is %d, and the log has %d entries", heads[channel], len(all))
	}
	return all
}
