package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
)

var (
	errRate = &chat.Error{Code: chat.RateLimited, Message: "You send too fast. Slow down.", RetryAfter: time.Second}
	errBusy = &chat.Error{Code: chat.Overloaded, Message: "The server does as much as it can at this moment. Send it again.", RetryAfter: 500 * time.Millisecond}
)

// maxStrikes is how many refusals in a row, for bad input or haste, a socket
// survives.
const maxStrikes = 100

// maxDepth and maxNames bound the nesting and the number of names of what a client
// sends.
const (
	maxDepth = 16
	maxNames = 2*chat.MaxCursors + 64
)

// parse reads an envelope and looks the verb up. With an error, req still has what
// could be read of it.
func parse(payload []byte) (req chat.Request, err error) {
	if tooDeep(payload) {
		return req, chat.Errorf(chat.BadJSON, chat.TextBadJSON)
	}
	if err := json.Unmarshal(payload, &req); err != nil {
		// Whatever was read before the mistake is not to be trusted.
		return chat.Request{}, chat.Errorf(chat.BadJSON, chat.TextBadJSON)
	}
	if len(req.ID) > chat.MaxRequestID {
		req.ID = ""
		return req, chat.Invalid("id", fmt.Sprintf("id is too long: at most %d bytes", chat.MaxRequestID))
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

// tooDeep finds nesting beyond maxDepth without recursion, outside of strings.
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

// run carries a verb out. A verb that panics is an internal error of that event
// alone.
func (g *Gateway) run(ctx context.Context, v command.Command, c command.Caller, req chat.Request) (response any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("carry out %s: panic: %v\n%s", req.Type, p, debug.Stack())
		}
	}()
	return v.Run(ctx, g.Rules, c, req.Data)
}

// refuse answers what was not carried out: malformed input with an error frame, a
// refused event too, but to a client of the old protocol with an ack.
func (s *session) refuse(req chat.Request, err error, start time.Time) {
	s.refuseTraced(req, err, start, "")
}

func (s *session) refuseTraced(req chat.Request, err error, start time.Time, trace string) {
	e := chat.AsError(err)
	now := chat.TimeOf(s.gateway.Now())
	if e.Code == chat.Internal {
		if req.ID == "" {
			req.ID = fmt.Sprintf("%s-%d", s.id, s.events.Load())
		}
		s.gateway.Log.Error("carry out an event", "event", req.Type, "id", req.ID, "user", s.user(), "err", err)
	}
	s.count(req.Type, string(e.Code), start, trace)
	retry := spread(e.RetryAfter).Milliseconds()
	if !s.known && req.Type != "" && req.Type != "ping" {
		s.reply(chat.Ack{
			Type: chat.EventAck, Event: req.Type, Timestamp: now, ID: req.ID,
			Response: chat.Refusal{Error: e.Message, Code: e.Code, RetryAfterMS: retry},
		})
		return
	}
	s.reply(chat.ErrorFrame{
		Type: chat.EventError, Message: e.Message, Timestamp: now, Code: e.Code, Field: e.Field,
		Event: req.Type, ID: req.ID, RetryAfterMS: retry,
	})
}

// spread makes a wait up to half as long again: those who were refused together must
// not come back together.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/2+1)
}

func (s *session) count(event, result string, start time.Time, trace string) {
	if event == "" {
		event = "unknown"
	}
	s.gateway.Metrics.Answered(event, result, s.gateway.Now().Sub(start), s.id, trace)
}

// reply sends a frame that must not be dropped.
func (s *session) reply(v any) {
	s.gateway.Metrics.Held.Look()
	s.conn.Reply(s.encode(v))
}

// encode makes a text frame. Encoding our own structs cannot fail.
func (s *session) encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("gateway: encode a frame: " + err.Error())
	}
	return frame.Text(b)
}
