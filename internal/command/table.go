package command

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chowk-chat/chowk/chat"
)

// Command is one event that a client may send over a socket.
type Command struct {
	// Run decodes data, carries the verb out and returns the ack's response.
	Run func(ctx context.Context, r *Service, c Caller, data jsontext.Value) (any, error)
	// In and Out are the types of data and response, for the schemas.
	In, Out reflect.Type
	// Transient verbs touch memory only: they never wait, so the door may run them
	// where it reads.
	Transient bool
}

// Table is every verb by the name it has on the wire. (ping is the door's own.)
var Table = map[string]Command{
	"new_message":        durable(newMessage),
	"edit_message":       durable(editMessage),
	"delete_message":     durable(deleteMessage),
	"message_reaction":   durable(messageReaction),
	"remove_reaction":    durable(removeReaction),
	"read_receipt":       durable(readReceipt),
	"typing":             transient(typing),
	"join_channel":       durable(joinChannel),
	"leave_channel":      transient(leaveChannel),
	"resume":             durable(resume),
	"subscribe_presence": durable(subscribePresence),
}

type handler[In, Out any] func(r *Service, ctx context.Context, c Caller, in In) (Out, error)

func durable[In, Out any](f handler[In, Out]) Command {
	return Command{
		Run: func(ctx context.Context, r *Service, c Caller, data jsontext.Value) (any, error) {
			var in In
			if err := decode(data, &in); err != nil {
				return nil, err
			}
			return f(r, ctx, c, in)
		},
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
	}
}

func transient[In, Out any](f handler[In, Out]) Command {
	v := durable(f)
	v.Transient = true
	return v
}

// decode reads an envelope's data. A missing data is an empty one. Names that we
// do not know are ignored, so that newer clients can talk to older servers.
func decode(data jsontext.Value, in any) error {
	if len(data) == 0 || data.Kind() == 'n' {
		return nil
	}
	if data.Kind() != '{' {
		return chat.Invalid("data", "data must be an object")
	}
	err := json.Unmarshal(data, in)
	if err == nil {
		return nil
	}
	var semantic *json.SemanticError
	if !errors.As(err, &semantic) {
		return &chat.Error{Code: chat.BadJSON, Message: chat.TextBadJSON}
	}
	field := strings.TrimPrefix(strings.ReplaceAll(string(semantic.JSONPointer), "/", "."), ".")
	return chat.Invalid(field, field+" must be "+expected(semantic.GoType))
}

// expected says in words what a field of type t takes.
func expected(t reflect.Type) string {
	if t == nil {
		return "of another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[chat.ID]():
		return "a UUID such as 0190a5e2-7b1c-7d3e-8f00-0123456789ab"
	case reflect.TypeFor[chat.Time]():
		return "an RFC 3339 time"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int64, reflect.Int:
		return "a whole number"
	case reflect.Slice:
		return "an array"
	default:
		return "an object"
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
