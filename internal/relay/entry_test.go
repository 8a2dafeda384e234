package relay

import (
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
)

// TestEntriesCrossWhole: what clients are sent of an entry is the same on every node.
func TestEntriesCrossWhole(t *testing.T) {
	t.Parallel()
	id, message, parent := chat.NewID(), chat.NewID(), chat.NewID()
	text, size := "text", int64(7)
	base := chat.Entry{ChannelID: id, Seq: 9, UserID: "ada", At: 1_700_000_000_000_001}
	of := func(kind chat.EventType, f func(ev *chat.Entry)) chat.Entry {
		ev := base
		ev.Type = kind
		f(&ev)
		return ev
	}
	header := &chat.Channel{ID: id, Name: "c", Description: &text, ChannelType: chat.Group, MemberCount: 3, CreatedAt: 5, LastSeq: 9}
	events := []chat.Entry{
		of(chat.EventMessage, func(ev *chat.Entry) {
			ev.Message = &chat.Message{
				ID: message, ChannelID: id, Seq: 9, UserID: "ada", Content: "<é\u2028>", MessageType: chat.Text, ParentMessageID: &parent,
				MentionedUserIDs: []chat.UserID{"bob"}, CreatedAt: base.At, ClientID: "c-1", IsEdited: true,
				User: &chat.UserRef{ID: "ada", Name: "Ada", Picture: &text}, FileInfo: chat.FileInfo{FileURL: &text, FileSize: &size},
			}
		}),
		of(chat.EventMessageUpdated, func(ev *chat.Entry) { ev.MessageID, ev.Content = message, "new" }),
		of(chat.EventMessageDeleted, func(ev *chat.Entry) { ev.MessageID = message }),
		of(chat.EventMessageReaction, func(ev *chat.Entry) { ev.MessageID, ev.Emoji, ev.ReactionCount = message, "👍", 2 }),
		of(chat.EventReactionRemoved, func(ev *chat.Entry) { ev.MessageID, ev.Emoji = message, "👍" }),
		of(chat.EventMemberLeft, func(ev *chat.Entry) { ev.Subject, ev.Role = "bob", chat.RoleMember }),
		of(chat.EventMemberUpdated, func(ev *chat.Entry) { ev.Subject, ev.Role = "bob", chat.RoleAdmin }),
		of(chat.EventChannelUpdated, func(ev *chat.Entry) { ev.Channel = header }),
	}
	b, err := json.Marshal(entriesOf(events))
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	got, ok := eventsOf(all)
	if !ok {
		t.Fatalf("refused: %s", b)
	}
	for i := range events {
		want, same := &events[i], &got[i]
		if !reflect.DeepEqual(same.Wire(), want.Wire()) || same.PersonalRecipient() != want.PersonalRecipient() || same.LeftUser() != want.LeftUser() {
			t.Errorf("%s: %+v, want %+v", want.Type, same.Wire(), want.Wire())
		}
		if want.PersonalRecipient() != "" && !reflect.DeepEqual(same.WirePersonal(), want.WirePersonal()) {
			t.Errorf("%s for its user: %+v, want %+v", want.Type, same.WirePersonal(), want.WirePersonal())
		}
	}
}

// TestWhatNoNodeSaysIsIgnored: what is broken, or of a chowk to come.
func TestWhatNoNodeSaysIsIgnored(t *testing.T) {
	t.Parallel()
	n := New(Config{})
	good, err := n.encode(kindHead, 1, headNote{Channel: chat.NewID()})
	if err != nil {
		t.Fatal(err)
	}
	if h, _, why := split(good); why != "" || h.node != n.id || h.at != 1 {
		t.Fatalf("got %+v, %s", h, why)
	}
	change := func(at int, to byte) []byte {
		m := append([]byte(nil), good...)
		m[at] = to
		return m
	}
	for _, c := range []struct {
		name string
		m    []byte
		why  ignored
	}{
		{"nothing", nil, ignoredMalformed},
		{"a header cut off", good[:headerSize-1], ignoredMalformed},
		{"another version", change(0, 2), ignoredVersion},
		{"another kind", change(1, 'Z'), ignoredKind},
		{"too much", append(good, make([]byte, bodyMost)...), ignoredSize},
	} {
		if _, _, why := split(c.m); why != c.why {
			t.Errorf("%s: %q, want %q", c.name, why, c.why)
		}
	}
	id := chat.NewID()
	for _, text := range []string{
		`[]`,
		`[{"type":"message","channel":"` + id.String() + `","seq":1,"user":"ada"}]`,
		`[{"type":"message_deleted","channel":"` + id.String() + `","seq":0,"message_id":"` + id.String() + `"}]`,
		`[{"type":"message_deleted","seq":3,"message_id":"` + id.String() + `"}]`,
		`[{"type":"member_left","channel":"` + id.String() + `","seq":3}]`,
		`[{"type":"channel_updated","channel":"` + id.String() + `","seq":3,"header":{}}]`,
		`[{"type":"of_tomorrow","channel":"` + id.String() + `","seq":3}]`,
		`[{"type":"member_joined","channel":"` + id.String() + `","seq":3,"subject":"eve"}]`, // nobody becomes a member by this
		`[{"type":"message_deleted","channel":"` + id.String() + `","seq":3,"message_id":"` + id.String() + `"},` +
			`{"type":"message_deleted","channel":"` + chat.NewID().String() + `","seq":4,"message_id":"` + id.String() + `"}]`,
	} {
		all, ok := read[[]entry]([]byte(text))
		if ok {
			_, ok = eventsOf(all)
		}
		if ok {
			t.Errorf("taken: %s", text)
		}
	}
	if all, ok := read[[]entry]([]byte(`[{"type":"message_deleted","channel":"` + id.String() + `","seq":3,"message_id":"` + id.String() + `","of_tomorrow":{"x":[1]}}]`)); !ok || len(all) != 1 {
		t.Error("a field of tomorrow is not skipped")
	}
	if _, err := n.encode(kindJoins, 0, make([]byte, bodyMost)); err == nil {
		t.Error("a message that is too large is not refused")
	}
}
