package relay

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

// example returns an entry of the type with every field set.
func example(kind chat.EventType) chat.Entry {
	id, message, parent, text, size := chat.NewID(), chat.NewID(), chat.NewID(), "text", int64(7)
	return chat.Entry{
		Type: kind, ChannelID: id, Seq: 9, UserID: "ada", At: 1_700_000_000_000_001,
		MessageID: message, Content: "new", Emoji: "👍", ReactionCount: 2, Subject: "bob", Role: chat.RoleMember,
		InitialMembers: []chat.UserID{"ada"},
		Message: &chat.MessageData{
			ID: message, ChannelID: id, Seq: 9, UserID: "ada", Content: "<é\u2028>", MessageType: chat.Text,
			ParentMessageID: &parent, MentionedUserIDs: []chat.UserID{"bob"}, CreatedAt: 5, ClientID: "c-1", IsEdited: true,
			User:        &chat.UserRef{ID: "ada", Name: "Ada", Picture: &text},
			Attachments: []chat.FileInfo{{FileURL: &text, FileSize: &size}},
		},
		Channel: &chat.Channel{
			ID: id, Name: "c", Description: &text, ChannelType: chat.Group, MemberCount: 3, CreatedAt: 5, LastSeq: 9,
		},
	}
}

// TestEveryTypeOfEntryCrosses: an entry of each type in the table reaches other nodes
// as it is, except those that start a membership.
func TestEveryTypeOfEntryCrosses(t *testing.T) {
	t.Parallel()
	for _, spec := range chat.Events() {
		if spec.Kind != chat.LogEvent {
			continue
		}
		sent := []chat.Entry{example(spec.Type)}
		b, err := json.Marshal(sent)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := read[[]chat.Entry](b)
		if !ok {
			t.Fatalf("%s: cannot be decoded: %s", spec.Type, b)
		}
		if diff := cmp.Diff(sent, got); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", spec.Type, diff)
		}
		if ok := acceptable(got); ok != (spec.Joins == nil) {
			t.Errorf("%s: acceptable is %v", spec.Type, ok)
		}
	}
}

// TestEntriesThatNoNodeSendsAreRefused.
func TestEntriesThatNoNodeSendsAreRefused(t *testing.T) {
	t.Parallel()
	id := chat.NewID().String()
	other := strings.NewReplacer(`"channel_id":"`+id, `"channel_id":"`+chat.NewID().String())
	deleted := `{"type":"message_deleted","channel_id":"` + id + `","seq":3,"message_id":"` + id + `"}`
	for name, text := range map[string]string{
		"none":                `[]`,
		"no message":          `[{"type":"message","channel_id":"` + id + `","seq":1,"user_id":"ada"}]`,
		"no seq":              `[{"type":"message_deleted","channel_id":"` + id + `","seq":0,"message_id":"` + id + `"}]`,
		"no channel":          `[{"type":"message_deleted","seq":3,"message_id":"` + id + `"}]`,
		"no member":           `[{"type":"member_left","channel_id":"` + id + `","seq":3}]`,
		"another channel's":   `[{"type":"channel_updated","channel_id":"` + id + `","seq":3,"channel":{}}]`,
		"a later type":        `[{"type":"of_tomorrow","channel_id":"` + id + `","seq":3}]`,
		"not an entry":        `[{"type":"typing","channel_id":"` + id + `","seq":3,"user_id":"ada"}]`,
		"starts a membership": `[{"type":"member_joined","channel_id":"` + id + `","seq":3,"subject":"eve","role":"member"}]`,
		"two channels":        `[` + deleted + `,` + other.Replace(deleted) + `]`,
		"another message": `[{"type":"message","channel_id":"` + id + `","seq":1,"user_id":"ada",
			"data":{"id":"` + id + `","channel_id":"` + id + `","seq":2,"user_id":"ada"}}]`,
	} {
		entries, ok := read[[]chat.Entry]([]byte(text))
		if !ok {
			t.Errorf("%s: cannot be decoded", name)
		}
		if acceptable(entries) {
			t.Errorf("%s: accepted %s", name, text)
		}
	}
	withField := `[` + deleted[:len(deleted)-1] + `,"of_tomorrow":{"x":[1]}}]`
	if entries, ok := read[[]chat.Entry]([]byte(withField)); !ok || !acceptable(entries) {
		t.Error("a field of a later version is not ignored")
	}
}
