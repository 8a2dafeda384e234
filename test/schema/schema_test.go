package schema

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

func ptr[T any](v T) *T { return &v }

var (
	id1 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ab")
	id2 = chat.MustParseID("0190a5e2-7b1c-7d3e-8f00-0123456789ac")
	at  = chat.TimeOf(chat.Time(1772366400123456).Std())
)

func event(kind chat.EventType) *chat.Entry {
	return &chat.Entry{
		Type: kind, ChannelID: id1, Seq: 7, UserID: "u1", At: at, MessageID: id2, Content: "hi", Emoji: "👍",
		ReactionCount: 2, Subject: "u2", Role: chat.RoleMember,
		Channel: &chat.Channel{
			ID: id1, Name: "general", ChannelType: chat.Group, CreatedBy: "u1", Topic: ptr("all"), LastMessageAt: &at,
			MyMembership: &chat.Membership{UserID: "u1", Role: chat.RoleOwner},
		},
		Message: &chat.MessageData{
			ID: id2, ChannelID: id1, Seq: 7, UserID: "u1", Content: "hi", MessageType: chat.Text, ParentMessageID: &id1,
			MentionedUserIDs: []chat.UserID{"u2"}, Attachments: []chat.FileInfo{{FileURL: ptr("https://files.example/1")}},
			IsEdited: true, ClientID: "c-1", CreatedAt: at, User: (&chat.User{ID: "u1", Name: "Uma"}).Ref(true),
		},
	}
}

// frames has at least one frame of each type.
func frames() []any {
	all := []any{
		chat.ConnectionFrame{
			Type: chat.EventConnection, Status: "connected", UserID: "u1", Timestamp: at, ConnectionID: "x",
			Epoch: "e", Durability: "disk", HeartbeatS: 30, Channels: []chat.ChannelState{{ID: id1, LastSeq: 42}},
		},
		chat.ConnectionFrame{
			Type: chat.EventConnection, Status: "connected", UserID: "u1", Timestamp: at, ConnectionID: "x",
			Epoch: "e", Durability: "os", HeartbeatS: 30,
		},
		chat.ErrorFrame{Type: chat.EventError, Message: chat.TextBadJSON, Timestamp: at, Code: chat.BadJSON},
		chat.ErrorFrame{
			Type: chat.EventError, Message: "no", Timestamp: at, Code: chat.Resync, Field: "x", Event: "resume", ID: "c-1",
			ChannelID: &id1, RetryAfterMS: 1000,
		},
		chat.TypingFrame{Type: chat.EventTyping, ChannelID: id1, UserID: "u1", Timestamp: at},
		chat.ReadReceiptFrame{Type: chat.EventReadReceipt, ChannelID: id1, UserID: "u1", Timestamp: at},
		chat.ReadReceiptFrame{Type: chat.EventReadReceipt, ChannelID: id1, UserID: "u1", MessageID: &id2, LastReadSeq: 3, Timestamp: at},
		chat.PresenceFrame{Type: chat.EventPresence, UserID: "u1", IsOnline: true, LastSeen: at},
		chat.NoticeFrame{Type: chat.EventNotice, Code: chat.NoticeDraining, ReconnectAfterMS: 500, Timestamp: at},
		chat.NoticeFrame{Type: chat.EventNotice, Code: chat.NoticeTokenExpiring, Timestamp: at},
		chat.PongFrame{Type: chat.EventPong, Timestamp: at},
		chat.PongFrame{Type: chat.EventPong, Timestamp: at, ID: "c-1"},
	}
	for _, spec := range chat.Events() {
		if spec.Kind != chat.LogEvent {
			continue
		}
		e := event(spec.Type)
		all = append(all, jsontext.Value(e.AppendShared(nil)))
		if e.PersonalRecipient() != "" {
			all = append(all, jsontext.Value(e.AppendPersonal(nil)))
		}
	}
	last := chat.Seq(9)
	responses := map[string][]any{
		"new_message":        {chat.SendReply{Status: "sent", MessageID: id2, Seq: 7, CreatedAt: at}, chat.SendReply{Status: "sent", MessageID: id2, Seq: 7, CreatedAt: at, Duplicate: true}},
		"typing":             {chat.StatusReply{Status: "sent"}},
		"edit_message":       {chat.StatusReply{Status: "sent", Seq: 7}},
		"delete_message":     {chat.StatusReply{Status: "sent", Seq: 7}},
		"message_reaction":   {chat.StatusReply{Status: "sent", Seq: 7}, chat.StatusReply{Status: "sent"}},
		"remove_reaction":    {chat.StatusReply{Status: "sent", Seq: 7}},
		"read_receipt":       {chat.ReadReply{Status: "sent", LastReadSeq: 7}},
		"join_channel":       {chat.JoinReply{Status: "joined", ChannelID: id1, LastSeq: &last}},
		"leave_channel":      {chat.JoinReply{Status: "left", ChannelID: id1}},
		"resume":             {chat.ResumeReply{Status: "resumed", Channels: map[chat.ID]chat.SeqRange{id1: {From: 1, To: 9}}}, chat.ResumeReply{Status: "resumed"}},
		"subscribe_presence": {chat.WatchReply{Status: "subscribed", Online: []chat.UserID{"u2"}}, chat.WatchReply{Status: "subscribed"}},
	}
	for name, list := range responses {
		for _, r := range append(list, chat.Refusal{Error: "no", Code: chat.Overloaded, RetryAfterMS: 500}) {
			all = append(all, chat.Ack{Type: chat.EventAck, Event: name, Response: r, Timestamp: at, ID: "c-1"})
		}
	}
	return all
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEveryServerFrameKeepsToItsSchema(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range frames() {
		raw := encode(t, f)
		ValidateServerFrame(t, raw)
		var head chat.Request
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatal(err)
		}
		seen[head.Type] = true
	}
	entries, err := Files.ReadDir("server")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".json"); !seen[name] {
			t.Errorf("no frame of type %s was tried", name)
		}
	}
}

func TestEveryClientFrameKeepsToItsSchema(t *testing.T) {
	requests := map[string]any{
		"new_message": chat.SendRequest{
			ChannelID: id1, Content: "hi", ClientID: "c-1", MessageType: chat.Text, ParentMessageID: &id2,
			MentionedUserIDs: []chat.UserID{"u2"}, AttachmentIDs: []chat.ID{id2}, FileURL: ptr("u"), FileName: ptr("n"),
			FileType: ptr("t"), FileSize: ptr(int64(1)),
		},
		"typing":             chat.TypingRequest{ChannelID: id1, IsTyping: ptr(false)},
		"read_receipt":       chat.ReadRequest{ChannelID: id1, MessageID: id2},
		"join_channel":       chat.ChannelRequest{ChannelID: id1},
		"leave_channel":      chat.ChannelRequest{ChannelID: id1},
		"message_reaction":   chat.ReactionRequest{ChannelID: id1, MessageID: id2, Emoji: "👍"},
		"remove_reaction":    chat.ReactionRequest{ChannelID: id1, MessageID: id2, Emoji: "👍"},
		"edit_message":       chat.EditRequest{ChannelID: id1, MessageID: id2, Content: "ho"},
		"delete_message":     chat.MessageRequest{ChannelID: id1, MessageID: id2},
		"resume":             chat.ResumeRequest{Epoch: "e", Cursors: map[chat.ID]chat.Seq{id1: 3}},
		"subscribe_presence": chat.WatchRequest{UserIDs: []chat.UserID{"u2"}},
		"ping":               nil,
	}
	entries, err := Files.ReadDir("client")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".json")
		data, ok := requests[name]
		if !ok {
			t.Errorf("no request of type %s was tried", name)
			continue
		}
		req := chat.Request{Type: name, ID: "c-1"}
		if data != nil {
			req.Data = jsontext.Value(encode(t, data))
		}
		ValidateClientFrame(t, encode(t, req))
	}
}

func TestWhatBreaksTheProtocolIsRefused(t *testing.T) {
	for name, raw := range map[string]string{
		"not JSON":         `{`,
		"no object":        `[]`,
		"unknown type":     `{"type":"nonsense"}`,
		"missing field":    `{"type":"typing","channel_id":"` + id1.String() + `","user_id":"u1","is_typing":true}`,
		"one too many":     `{"type":"pong","timestamp":"` + at.String() + `","extra":1}`,
		"time of no zone":  `{"type":"pong","timestamp":"2026-01-02T15:04:05"}`,
		"wrong ack":        `{"type":"ack","event":"typing","response":{"status":"joined"},"timestamp":"` + at.String() + `"}`,
		"driver's own key": `{"type":"error","message":"m","timestamp":"` + at.String() + `","code":"sql_error"}`,
	} {
		if check("server", []byte(raw)) == nil {
			t.Errorf("%s was taken: %s", name, raw)
		}
	}
	for name, raw := range map[string]string{
		"no data":   `{"type":"typing"}`,
		"bad id":    `{"type":"typing","data":{"channel_id":"x"}}`,
		"long id":   `{"type":"ping","id":"` + strings.Repeat("x", 65) + `"}`,
		"read what": `{"type":"read_receipt","data":{"channel_id":"` + id1.String() + `"}}`,
	} {
		if check("client", []byte(raw)) == nil {
			t.Errorf("%s was taken: %s", name, raw)
		}
	}
}
