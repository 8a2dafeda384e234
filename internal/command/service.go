// Package command executes what clients request, over sockets and over REST: it checks a
// request, and either commits a change or answers from the store. Each command has a file
// and a line in the table. The package contains neither sockets nor SQL, and package state
// decides who may do what.
package command

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/state"
)

// Service executes commands. All of its fields must be set. It has no state of its
// own.
type Service struct {
	Journal  Journal
	Store    Store
	Realtime Realtime
	// Now is the clock: time.Now, except in tests.
	Now func() time.Time
}

// Caller is the actor that issues a command.
type Caller struct {
	model.Actor
	// Socket is the caller's socket, nil over REST.
	Socket Socket
}

func (s *Service) at() chat.Time { return chat.TimeOf(s.Now()) }

// change returns a change by the caller. Whether they may make it, package state decides.
func (s *Service) change(kind state.ChangeKind, c Caller, channel chat.ID) state.Change {
	return state.Change{Kind: kind, ID: chat.NewID(), ChannelID: channel, Actor: c.Actor, At: s.at()}
}

// commit commits a change and returns its refusal as an error.
func (s *Service) commit(ctx context.Context, change state.Change) (state.Outcome, error) {
	out, err := s.Journal.Commit(ctx, change)
	if err != nil {
		return state.Outcome{}, err
	}
	return out, out.Err
}

// changeMessage commits a change to a message that needs nothing but the message.
func (s *Service) changeMessage(
	ctx context.Context, c Caller, kind state.ChangeKind, in chat.MessageRequest,
) (chat.StatusReply, error) {
	if in.ChannelID.IsZero() || in.MessageID.IsZero() {
		return chat.StatusReply{}, chat.Errorf(chat.BadRequest, chat.TextMissingMessage)
	}
	change := s.change(kind, c, in.ChannelID)
	change.MessageID = in.MessageID
	out, err := s.commit(ctx, change)
	return done(out), err
}

// done returns the reply to a change of a channel.
func done(out state.Outcome) chat.StatusReply {
	reply := chat.StatusReply{Status: "sent"}
	if out.Entry != nil {
		reply.Seq = out.Entry.Seq
	}
	return reply
}

// missing refuses a request without a field. Over sockets the text is that of the old
// system, whose clients compare with it.
func missing(c Caller, field, text string) error {
	if c.Socket == nil {
		return chat.Invalid(field, field+" is required")
	}
	return chat.Errorf(chat.BadRequest, text)
}
