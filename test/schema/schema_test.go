package schema

import (
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
)

// entry returns an entry of a type, with every field set.
func entry(kind chat.EventType) *chat.Entry {
	e := sample(reflect.TypeFor[chat.Entry](), "", true).Interface().(chat.Entry)
	e.Type, e.Message.Seq, e.Message.UserID = kind, e.Seq, e.UserID
	return &e
}

// frames returns what the server may send: at least one of each type of event, and for
// each command its acks.
func frames() (all []any) {
	for _, spec := range chat.Events() {
		switch {
		case spec.Type == chat.EventAck:
		case spec.Frame != nil:
			for _, f := range samples(spec.Frame) {
				frame := reflect.New(spec.Frame).Elem()
				frame.Set(reflect.ValueOf(f))
				frame.FieldByName("Type").SetString(string(spec.Type))
				all = append(all, frame.Interface())
			}
		case spec.Kind == chat.LogEvent:
			e := entry(spec.Type)
			all = append(all, jsontext.Value(e.AppendShared(nil)))
			if e.PersonalRecipient() != "" {
				all = append(all, jsontext.Value(e.AppendPersonal(nil)))
			}
		}
	}
	for _, c := range command.Commands() {
		for _, r := range append(samples(c.Out), samples(reflect.TypeFor[chat.Refusal]())...) {
			all = append(all, chat.Ack{Type: chat.EventAck, Event: c.Name, Response: r, Timestamp: at, ID: "c-1"})
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

func TestEveryEventMatchesItsSchema(t *testing.T) {
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
			t.Errorf("no event of type %s was tried", name)
		}
	}
}

func TestEveryCommandMatchesItsSchema(t *testing.T) {
	ValidateClientFrame(t, encode(t, chat.Request{Type: command.Ping, ID: "c-1"}))
	for _, c := range command.Commands() {
		for i, data := range samples(c.In) {
			if i > 0 && len(c.AnyOf) > 0 {
				continue // it lacks all of them
			}
			ValidateClientFrame(t, encode(t, chat.Request{Type: c.Name, Data: jsontext.Value(encode(t, data))}))
		}
	}
	entries, err := Files.ReadDir("client")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(entries), len(command.Names()); got != want {
		t.Errorf("%d commands have a schema, want %d", got, want)
	}
}

func TestWhatBreaksTheProtocolIsRefused(t *testing.T) {
	time := `"timestamp":"` + at.String() + `"`
	for name, raw := range map[string]string{
		"not JSON":              `{`,
		"not an object":         `[]`,
		"an unknown type":       `{"type":"nonsense"}`,
		"a missing field":       `{"type":"typing","channel_id":"` + id1.String() + `","user_id":"u1","is_typing":true}`,
		"one field too many":    `{"type":"pong",` + time + `,"extra":1}`,
		"a time without zone":   `{"type":"pong","timestamp":"2026-01-02T15:04:05"}`,
		"another command's ack": `{"type":"ack","event":"typing","response":{"status":"joined"},` + time + `}`,
		"the ack of a ping":     `{"type":"ack","event":"ping","response":{"status":"sent"},` + time + `}`,
		"a driver's code":       `{"type":"error","message":"m",` + time + `,"code":"sql_error"}`,
		"a zero seq": `{"type":"message_deleted","channel_id":"` + id1.String() + `","seq":0,"message_id":"` + id2.String() +
			`","user_id":"u1",` + time + `}`,
	} {
		if check("server", []byte(raw)) == nil {
			t.Errorf("%s: accepted %s", name, raw)
		}
	}
	for name, raw := range map[string]string{
		"no data":         `{"type":"typing"}`,
		"a bad id":        `{"type":"typing","data":{"channel_id":"x"}}`,
		"an id too long":  `{"type":"ping","id":"` + strings.Repeat("x", 65) + `"}`,
		"nothing to read": `{"type":"read_receipt","data":{"channel_id":"` + id1.String() + `"}}`,
		"content too long": `{"type":"new_message","data":{"channel_id":"` + id1.String() + `","content":"` +
			strings.Repeat("x", chat.MaxContent+1) + `"}}`,
	} {
		if check("client", []byte(raw)) == nil {
			t.Errorf("%s: accepted %s", name, raw)
		}
	}
}
