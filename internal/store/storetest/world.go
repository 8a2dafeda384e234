package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
	"github.com/chowk-chat/chowk/internal/store"
)

// bench is what a test works with.
type bench struct {
	t     *testing.T
	s     *store.Store
	again func() *store.Store
	clock chat.Time
}

func (b *bench) now() chat.Time { b.clock++; return 1_700_000_000_000_000 + b.clock }

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) users(ids ...chat.UserID) {
	b.t.Helper()
	for _, id := range ids {
		_, err := b.s.EnsureUser(b.t.Context(), chat.User{ID: id, Name: "Name of " + string(id), IsActive: true, CreatedAt: b.now()})
		b.must(err)
	}
}

// channel makes users and a channel; the first owns it.
func (b *bench) channel(users ...chat.UserID) chat.ID {
	b.t.Helper()
	b.users(users...)
	return b.channelOf(chat.Channel{Name: "c", ChannelType: chat.Group, IsPrivate: true}, users...)
}

func (b *bench) channelOf(ch chat.Channel, users ...chat.UserID) chat.ID {
	b.t.Helper()
	out := b.commit(b.creation(ch, "", users...))
	if out.Err != nil {
		b.t.Fatal(out.Err)
	}
	return out.Channel.ID
}

func (b *bench) creation(ch chat.Channel, key string, users ...chat.UserID) state.Change {
	c := state.Change{Kind: state.CreateChannel, ID: chat.NewID(), Actor: model.UserActor(users[0]), At: b.now(), DirectKey: key}
	c.ChannelID = c.ID
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

func (b *bench) commit(c state.Change) state.Outcome {
	b.t.Helper()
	out, err := b.s.Commit(b.t.Context(), []state.Change{c})
	b.must(err)
	return out[0]
}

func (b *bench) change(kind state.ChangeKind, channel chat.ID, by chat.UserID) state.Change {
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: model.UserActor(by), At: b.now()}
}

func (b *bench) message(channel chat.ID, by chat.UserID, text string) state.Change {
	c := b.change(state.SendMessage, channel, by)
	c.Message = &chat.Message{ID: c.ID, ChannelID: channel, UserID: by, Content: text, MessageType: chat.Text}
	return c
}

func (b *bench) send(channel chat.ID, by chat.UserID, text string) *chat.Message {
	b.t.Helper()
	out := b.commit(b.message(channel, by, text))
	if out.Err != nil {
		b.t.Fatal(out.Err)
	}
	return out.Message
}

// refused checks that a change was refused with a code.
func (b *bench) refused(out state.Outcome, code chat.Code) {
	b.t.Helper()
	if out.Err == nil || chat.AsError(out.Err).Code != code {
		b.t.Errorf("got %v (%+v), want %s", out.Err, out.Entry, code)
	}
}

func (b *bench) fails(err error, code chat.Code) {
	b.t.Helper()
	if err == nil || chat.AsError(err).Code != code {
		b.t.Errorf("got %v, want %s", err, code)
	}
}

// log reads a channel's whole log and checks that it has no hole.
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
	for i, ev := range all {
		if ev.Seq != int64(i)+1 {
			b.t.Fatalf("entry %d of the log has seq %d", i+1, ev.Seq)
		}
	}
	heads, err := b.s.Heads(b.t.Context(), []chat.ID{channel})
	b.must(err)
	if heads[channel] != int64(len(all)) {
		b.t.Fatalf("the head is %d and the log has %d entries", heads[channel], len(all))
	}
	return all
}
