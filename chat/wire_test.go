package chat_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/chowk-chat/chowk/chat"
)

var update = flag.Bool("update", false, "write testdata/wire.jsonl")

const wireFile = "testdata/wire.jsonl"

func ptr[T any](v T) *T { return &v }

var (
	id1 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")
	id2 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ac")
	at  = chat.Time(1772366400123456)
)

// full is an entry with every field set, whatever its type carries.
func full(kind chat.EventType) chat.Entry {
	return chat.Entry{
		Type: kind, ChannelID: id1, Seq: 7, UserID: "ada", At: at, MessageID: id2, Content: "<é\u2028>\n\"",
		Emoji: "👍", ReactionCount: 2, Subject: "bob", Role: chat.RoleMember, InitialMembers: []chat.UserID{"ada", "bob"},
		Message: &chat.MessageData{
			ID: id2, ChannelID: id1, Seq: 7, UserID: "ada", Content: "<é\u2028>\n\"", MessageType: chat.Text,
			ParentMessageID: &id1, MentionedUserIDs: []chat.UserID{"bob"}, IsEdited: true, ClientID: "c-1", CreatedAt: at,
			Attachments: []chat.FileInfo{{FileURL: ptr("https://files.example/1"), FileSize: ptr(int64(7))}},
			User:        (&chat.User{ID: "ada", Name: "Ada", Picture: ptr("p")}).Ref(false),
		},
		Channel: &chat.Channel{
			ID: id1, Name: "general", ChannelType: chat.Group, CreatedBy: "ada", Topic: ptr("all"), LastMessageAt: ptr(at),
			MyMembership: &chat.Membership{UserID: "ada", Role: chat.RoleOwner}, UnreadCount: 3, IsStarred: true,
			MemberCount: 3, LastSeq: 7,
		},
	}
}

// entries has a full entry of each type in the log, and some with values that are
// zero.
func entries() []chat.Entry {
	var all []chat.Entry
	for _, spec := range chat.Events() {
		if spec.Kind == chat.LogEvent {
			all = append(all, full(spec.Type))
		}
	}
	plain, none, empty := full(chat.EventMessage), full(chat.EventReactionRemoved), full(chat.EventMessageUpdated)
	plain.Message = &chat.MessageData{
		ID: id2, ChannelID: id1, Seq: 7, UserID: "ada", MessageType: chat.Text, CreatedAt: at,
	}
	none.ReactionCount, empty.Content = 0, ""
	return append(all, plain, none, empty)
}

// TestTheWireStaysAsItIs compares with what earlier versions sent, byte for byte.
func TestTheWireStaysAsItIs(t *testing.T) {
	var got strings.Builder
	for _, e := range entries() {
		got.Write(append(e.AppendShared(nil), '\n'))
		if user := e.PersonalRecipient(); user != "" {
			got.WriteString(string(user) + " ")
			got.Write(append(e.AppendPersonal(nil), '\n'))
		}
	}
	if *update {
		if err := os.WriteFile(wireFile, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(wireFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("the wire changed (-before +now):\n%s", diff)
	}
}

// TestClientsReadWhatTheServerSends: the JSON that members receive decodes to the
// entry, except for what they do not receive.
func TestClientsReadWhatTheServerSends(t *testing.T) {
	for _, sent := range entries() {
		var got chat.Entry
		if err := json.Unmarshal(sent.AppendShared(nil), &got); err != nil {
			t.Fatal(err)
		}
		got.Received()
		if !got.Valid() {
			t.Errorf("%s: what a client decoded is not valid: %+v", sent.Type, got)
		}
		// Sent again it is the same, so nothing that the wire carries was lost.
		if diff := cmp.Diff(string(sent.AppendShared(nil)), string(got.AppendShared(nil))); diff != "" {
			t.Errorf("%s (-sent +decoded):\n%s", sent.Type, diff)
		}
	}
}

func BenchmarkWire(b *testing.B) {
	for _, e := range entries()[:6] {
		b.Run(string(e.Type), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.AppendShared(nil)
			}
		})
		if e.PersonalRecipient() != "" {
			b.Run(string(e.Type)+"/personal", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e.AppendPersonal(nil)
				}
			})
		}
	}
}
