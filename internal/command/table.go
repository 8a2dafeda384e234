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

// Command is a command that clients send over a socket.
type Command struct {
	// Run decodes data, carries out the command and returns the ack's response.
	Run func(ctx context.Context, r *Service, c Caller, data jsontext.Value) (any, error)
	// Name is the command's type on the wire.
	Name string
	// Doc describes the command to authors of clients, in Markdown.
	Doc string
	// In and Out are the types of data and response.
	In, Out reflect.Type
	// AnyOf names fields of the data of which at least one is required.
	AnyOf []string
	// Transient commands only touch memory. They never wait, so a socket may run them
	// where it reads.
	Transient bool
}

// commands is the table of commands, in the order of the documentation.
var commands = []Command{
	durable("new_message", "Send a message.", newMessage),
	durable("edit_message", "Give your own message new content.", editMessage),
	durable("delete_message", "Delete a message: your own, or any if you manage the channel.", deleteMessage),
	durable("message_reaction", "Add a reaction to a message.", messageReaction),
	durable("remove_reaction", "Remove your reaction from a message.", removeReaction),
	anyOf(durable("read_receipt", "Report how far you have read.", readReceipt), "message_id", "seq"),
	transient("typing", "Report that you started or stopped typing.", typing),
	durable("join_channel", "Receive the events of a channel on this socket again.", joinChannel),
	transient("leave_channel", "Stop receiving the events of a channel on this socket.", leaveChannel),
	durable("resume", "Receive what was missed since the given seqs.", resume),
	durable("subscribe_presence", "Receive the presence of these users, or of a channel's members, instead of those "+
		"subscribed to before.", subscribePresence),
}

// Table has every command by its name, except Ping.
var Table = index(commands)

func index(all []Command) map[string]Command {
	table := make(map[string]Command, len(all))
	for _, c := range all {
		if _, twice := table[c.Name]; twice || c.Name == "" || c.Doc == "" {
			panic("command: two lines for " + c.Name + ", or no description")
		}
		table[c.Name] = c
	}
	return table
}

// Ping is the command that a socket answers by itself, with a pong.
const (
	Ping    = "ping"
	PingDoc = "Ask for a `pong`."
)

// Commands returns the table of commands.
func Commands() []Command { return commands }

// Names returns the names of the commands in the table, and Ping.
func Names() []string {
	names := make([]string, 0, len(commands)+1)
	for _, c := range commands {
		names = append(names, c.Name)
	}
	return append(names, Ping)
}

type handler[In, Out any] func(r *Service, ctx context.Context, c Caller, in In) (Out, error)

func durable[In, Out any](name, doc string, f handler[In, Out]) Command {
	return Command{
		Name: name, Doc: doc,
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

func transient[In, Out any](name, doc string, f handler[In, Out]) Command {
	c := durable(name, doc, f)
	c.Transient = true
	return c
}

func anyOf(c Command, fields ...string) Command {
	c.AnyOf = fields
	return c
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
