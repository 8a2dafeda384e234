package command

import (
	"context"
	"reflect"

	"github.com/go-json-experiment/json/jsontext"
)

// Command is a command that clients send over a socket.
type Command struct {
	// Name is the command's type on the wire.
	Name string
	// Doc describes the command to authors of clients, in Markdown.
	Doc string
	// Run decodes data, carries out the command and returns the ack's response.
	Run func(ctx context.Context, s *Service, c Caller, data jsontext.Value) (any, error)
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
	durable("edit_message", "Change the content of your own message.", editMessage),
	durable("delete_message", "Delete a message: your own, or any if you manage the channel.", (*Service).DeleteMessage),
	durable("message_reaction", "Add a reaction to a message.", (*Service).AddReaction),
	durable("remove_reaction", "Remove your reaction from a message.", (*Service).RemoveReaction),
	durable("pin_message", "Pin a message, if you manage the channel.", (*Service).PinMessage),
	durable("unpin_message", "Unpin a message, if you manage the channel.", (*Service).UnpinMessage),
	anyOf(durable("read_receipt", "Report how far you have read.", readReceipt), "message_id", "seq"),
	transient("typing", "Report that you started or stopped typing.", typing),
	durable("join_channel", "Receive the events of a channel on this socket again.", joinChannel),
	transient("leave_channel", "Stop receiving the events of a channel on this socket.", leaveChannel),
	durable("resume", "Receive what was missed since the given seqs.", resume),
	durable("subscribe_presence", "Receive the presence of these users, or of a channel's members, instead of those "+
		"subscribed to before.", subscribePresence),
}

// Ping is the command that a socket answers by itself, with a pong.
const (
	Ping    = "ping"
	PingDoc = "Ask for a `pong`."
)

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

type run[In, Out any] func(s *Service, ctx context.Context, c Caller, in In) (Out, error)

func durable[In, Out any](name, doc string, f run[In, Out]) Command {
	return Command{
		Name: name, Doc: doc, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		Run: func(ctx context.Context, s *Service, c Caller, data jsontext.Value) (any, error) {
			var in In
			if err := decode(data, &in); err != nil {
				return nil, err
			}
			return f(s, ctx, c, in)
		},
	}
}

func transient[In, Out any](name, doc string, f run[In, Out]) Command {
	c := durable(name, doc, f)
	c.Transient = true
	return c
}

func anyOf(c Command, fields ...string) Command {
	c.AnyOf = fields
	return c
}
