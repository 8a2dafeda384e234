package chat

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Field is a field that entries carry on the wire, in addition to type, channel_id,
// seq and timestamp, which every entry has.
type Field struct {
	// Name is the field's name in JSON.
	Name   string
	goName string // of the field of Entry that holds the value
	append func(b []byte, e *Entry, personal bool) []byte
	valid  func(e *Entry) bool
	// received restores what decoding leaves in another place; nil for most.
	received func(e *Entry)
}

// The fields of entries.
var (
	dataField = Field{
		Name: "data", goName: "Message", append: appendData,
		valid: func(e *Entry) bool {
			m := e.Message
			return m != nil && m.Seq == e.Seq && m.ChannelID == e.ChannelID && m.UserID == e.UserID
		},
		received: func(e *Entry) {
			if e.Message != nil {
				e.UserID = e.Message.UserID
			}
		},
	}
	messageIDField = Field{
		Name: "message_id", goName: "MessageID",
		append: func(b []byte, e *Entry, _ bool) []byte {
			return append(e.MessageID.append(append(b, `,"message_id":"`...)), '"')
		},
		valid: func(e *Entry) bool { return !e.MessageID.IsZero() },
	}
	userField    = textField("user_id", "UserID", func(e *Entry) string { return string(e.UserID) })
	contentField = textField("content", "Content", func(e *Entry) string { return e.Content })
	emojiField   = textField("emoji", "Emoji", func(e *Entry) string { return e.Emoji }).
			validIf(func(e *Entry) bool { return e.Emoji != "" })
	countField = Field{
		Name: "reaction_count", goName: "ReactionCount",
		append: func(b []byte, e *Entry, _ bool) []byte {
			return appendInt(append(b, `,"reaction_count":`...), e.ReactionCount)
		},
		valid: func(e *Entry) bool { return e.ReactionCount >= 0 },
	}
	subjectField = Field{
		Name: "user_id", goName: "Subject",
		append:   textField("user_id", "Subject", func(e *Entry) string { return string(e.Subject) }).append,
		valid:    func(e *Entry) bool { return e.Subject.Valid() },
		received: func(e *Entry) { e.Subject, e.UserID = e.UserID, "" },
	}
	roleField = textField("role", "Role", func(e *Entry) string { return string(e.Role) }).
			validIf(func(e *Entry) bool { return e.Role.Valid() })
	channelField = Field{
		Name: "channel", goName: "Channel",
		append: func(b []byte, e *Entry, _ bool) []byte {
			if e.Channel == nil {
				return b
			}
			return appendValue(append(b, `,"channel":`...), e.Channel.shared())
		},
		valid: func(e *Entry) bool { return e.Channel != nil && e.Channel.ID == e.ChannelID },
	}
)

// textField describes a field that may be any string.
func textField(name, goName string, text func(e *Entry) string) Field {
	key := `,"` + name + `":`
	return Field{
		Name: name, goName: goName,
		append: func(b []byte, e *Entry, _ bool) []byte {
			// Invalid UTF-8, which is never stored, becomes the replacement character.
			b, _ = jsontext.AppendQuote(append(b, key...), text(e))
			return b
		},
		valid: func(*Entry) bool { return true },
	}
}

func (f Field) validIf(valid func(e *Entry) bool) Field {
	f.valid = valid
	return f
}

// StructField returns the field of Entry that holds the value, with its type and tags.
func (f Field) StructField() reflect.StructField {
	sf, ok := reflect.TypeFor[Entry]().FieldByName(f.goName)
	if !ok {
		panic("chat: Entry has no field " + f.goName)
	}
	return sf
}

// appendData appends the message. Only its author receives its client_id.
func appendData(b []byte, e *Entry, personal bool) []byte {
	d := e.Message
	if d.ClientID != "" && !personal {
		copied := *d
		copied.ClientID = ""
		d = &copied
	}
	return appendValue(append(b, `,"data":`...), d)
}

// maxTail is what may follow the largest value of an entry, in bytes: its timestamp.
const maxTail = 64

// appendValue appends the JSON of one of our own types, which cannot fail.
func appendValue(b []byte, v any) []byte {
	text, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("chat: encode an entry: " + err.Error())
	}
	return append(slices.Grow(b, len(text)+maxTail), text...)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
