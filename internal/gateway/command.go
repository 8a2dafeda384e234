package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/netpoll"
)

var (
	errRate = &chat.Error{
		Code: chat.RateLimited, Message: "Rate limit exceeded. Slow down.", RetryAfter: time.Second,
	}
	errBusy = &chat.Error{
		Code: chat.Overloaded, Message: "The server is busy. Try again in a moment.", RetryAfter: 500 * time.Millisecond,
	}
)

const (
	// maxViolations is how many refusals in a row, for bad input or exceeded rates, a
	// socket survives.
	maxViolations = 100
	// maxDepth bounds the nesting of what a client sends.
	maxDepth = 16
)

// command answers one command, or starts a goroutine that does. rest was read behind
// the command. command returns false if reading stops.
func (s *session) command(payload, rest []byte) bool {
	start := s.gateway.Now()
	s.commands.Add(1)
	req, err := parse(payload)
	if err == nil && !s.allow() {
		err = errRate
	}
	if err != nil {
		s.refuse(req, err, start)
		if s.violations++; s.violations > maxViolations {
			return s.abuse("too many errors")
		}
		return true
	}
	if req.Type == "ping" {
		s.violations = 0
		s.reply(chat.PongFrame{Type: chat.EventPong, Timestamp: chat.TimeOf(start), ID: req.ID})
		return true
	}
	c := command.Table[req.Type]
	if c.Transient {
		s.execute(context.Background(), req, c, start)
		return true
	}
	if !s.beginCommand() {
		s.refuse(req, errRestarting, start)
		return true
	}
	if !s.gateway.beginCommand() {
		s.refuse(req, errBusy, start)
		s.endCommand()
		s.closeIfDraining()
		return true
	}
	// The poller reuses its buffer when this method returns.
	req.Data = append([]byte(nil), req.Data...)
	rest = append([]byte(nil), rest...)
	go func() { // ends when the command is answered, within commandTimeout
		defer s.gateway.endCommand()
		ctx, cancel := context.WithTimeout(s.gateway.ctx, commandTimeout)
		defer cancel()
		s.execute(ctx, req, c, start)
		s.resumeReading(rest)
	}()
	return false
}

// resumeReading handles what was read behind a command that is done, and then lets the
// poller read on.
func (s *session) resumeReading(rest []byte) {
	s.endCommand()
	next := s.consume(rest)
	s.closeIfDraining()
	if next != netpoll.Pause {
		s.conn.Resume(next)
	}
}

// execute runs a command and answers it.
func (s *session) execute(ctx context.Context, req chat.Request, c command.Command, start time.Time) {
	ctx, span := s.gateway.Trace.Command(ctx, req.Type, start, s.id)
	response, err := s.gateway.run(ctx, c, command.Caller{Actor: s.actor(), Socket: s}, req)
	ack := s.gateway.Trace.Ack(ctx)
	if err != nil {
		s.refuseTraced(req, err, start, span.ID())
	} else {
		s.violations = 0
		s.count(req.Type, "ok", start, span.ID())
		s.reply(chat.Ack{
			Type: chat.EventAck, Event: req.Type, Response: response,
			Timestamp: chat.TimeOf(s.gateway.Now()), ID: req.ID,
		})
	}
	ack.End()
	span.Result(err)
}

// run runs a command. A panic becomes an internal error of this command alone.
func (g *Gateway) run(ctx context.Context, c command.Command, caller command.Caller, req chat.Request) (
	response any, err error,
) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("run %s: panic: %v\n%s", req.Type, p, debug.Stack())
		}
	}()
	return c.Run(ctx, g.Commands, caller, req.Data)
}

// beginCommand admits a command that gets a goroutine. It returns false if the
// maximum are running.
func (g *Gateway) beginCommand() bool {
	if !g.running.TryAcquire(1) {
		return false
	}
	g.background.Add(1)
	return true
}

func (g *Gateway) endCommand() {
	g.background.Done()
	g.running.Release(1)
}

// parse reads a request and checks that its command exists. With an error, req still
// holds what could be read.
func parse(payload []byte) (req chat.Request, err error) {
	if tooDeep(payload) {
		return req, chat.Errorf(chat.BadJSON, chat.TextBadJSON)
	}
	if err := json.Unmarshal(payload, &req); err != nil {
		// What was read before the mistake cannot be trusted.
		return chat.Request{}, chat.Errorf(chat.BadJSON, chat.TextBadJSON)
	}
	if len(req.ID) > chat.MaxRequestID {
		req.ID = ""
		return req, chat.Invalid("id", fmt.Sprintf("id is longer than %d bytes", chat.MaxRequestID))
	}
	if _, ok := command.Table[req.Type]; !ok && req.Type != "ping" {
		name := req.Type
		switch {
		case name == "":
			name = "None"
		case len(name) > 64:
			name = "(too long to repeat)"
		}
		req.Type = ""
		return req, chat.Errorf(chat.UnknownEvent, chat.TextUnknownEvent+name)
	}
	return req, nil
}

// tooDeep reports whether JSON is nested deeper than maxDepth. It does not recurse.
func tooDeep(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}
