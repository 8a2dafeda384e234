package storetest

import (
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/state"
)

// ids are the ids of channels.
func ids(channels []chat.Channel) []chat.ID {
	all := []chat.ID{}
	for _, ch := range channels {
		all = append(all, ch.ID)
	}
	return all
}

func testChannels(t *testing.T, b *bench) {
	quiet, busy := b.channel("ada", "bob"), b.channel("ada", "bob")
	public := b.channelOf(chat.Channel{Name: "open", ChannelType: chat.Class}, "bob")
	b.send(quiet, "ada", "x")
	sent := b.send(busy, "ada", "x")
	list := func(archived bool, want ...chat.ID) []chat.Channel {
		t.Helper()
		all, err := b.s.Channels(t.Context(), "ada", archived)
		b.must(err)
		b.equal("the channels", want, ids(all))
		return all
	}
	first := list(false, busy, quiet)[0]
	joined := b.log(busy)[0].At
	b.equal("the channel", chat.Channel{
		ID: busy, Name: "c", ChannelType: chat.Group, IsPrivate: true, CreatedBy: "ada", MemberCount: 2, MessageCount: 1,
		LastMessageAt: &sent.CreatedAt, CreatedAt: joined, UpdatedAt: joined, LastSeq: 2, UnreadCount: 1,
		MyMembership: &chat.Membership{
			UserID: "ada", Role: chat.RoleOwner, NotificationsEnabled: true, NotificationLevel: chat.NotifyAll,
			UnreadCount: 1, JoinedAt: joined,
		},
	}, first)

	patch := b.change(state.UpdateChannel, quiet, "ada")
	patch.Patch = chat.ChannelPatch{Topic: ptr("news"), IsArchived: ptr(true)}
	if out := b.commit(patch); *out.Entry.Channel.Topic != "news" || !out.Entry.Channel.IsArchived {
		t.Errorf("the entry has the channel %+v, want its new topic", out.Entry.Channel)
	}
	list(false, busy)
	list(true, busy, quiet)

	_, err := b.s.Channel(t.Context(), quiet, "eve")
	b.fails(err, chat.Forbidden)
	ch, err := b.s.Channel(t.Context(), public, "ada")
	b.must(err)
	if ch.ID != public || ch.MyMembership != nil {
		t.Errorf("a public channel is %+v, want it without a membership", ch)
	}
}

func testBrowse(t *testing.T, b *bench) {
	b.channel("ada", "bob")
	public := b.channelOf(chat.Channel{Name: "100% Open_ness", ChannelType: chat.Class}, "bob")
	for text, want := range map[string][]chat.ID{
		"": {public}, "100% open_": {public}, "%": {public}, "_": {public}, "100_": {}, "x": {},
	} {
		found, err := b.s.Browse(t.Context(), "ada", text, 10)
		b.must(err)
		b.equal("browsing for "+text, want, ids(found))
	}
	found, err := b.s.Browse(t.Context(), "bob", "", 10)
	b.must(err)
	b.equal("browsing by a member", []chat.ID{}, ids(found))
}

func testMembership(t *testing.T, b *bench) {
	id := b.channel("ada", "bob")
	b.must(b.s.SetMembership(t.Context(), id, "ada", chat.MembershipPatch{
		IsStarred: ptr(true), NotificationLevel: ptr(chat.NotifyMentions),
	}))
	ch, err := b.s.Channel(t.Context(), id, "ada")
	b.must(err)
	b.equal("the membership", &chat.Membership{
		UserID: "ada", Role: chat.RoleOwner, IsStarred: true, NotificationsEnabled: true,
		NotificationLevel: chat.NotifyMentions, JoinedAt: b.log(id)[0].At,
	}, ch.MyMembership)
	if !ch.IsStarred {
		t.Error("the channel is not starred")
	}
	b.fails(b.s.SetMembership(t.Context(), id, "eve", chat.MembershipPatch{}), chat.Forbidden)
}
