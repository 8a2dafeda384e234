package gateway

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/frame"
)

// refuse answers a command that was not executed. Clients of the old protocol get an
// ack for a refused command; everything else is answered with an error frame.
func (s *session) refuse(req chat.Request, err error, start time.Time) {
	s.refuseTraced(req, err, start, "")
}

func (s *session) refuseTraced(req chat.Request, err error, start time.Time, trace string) {
	e := chat.AsError(err)
	now := chat.TimeOf(s.gateway.Now())
	if e.Code == chat.Internal {
		if req.ID == "" {
			req.ID = fmt.Sprintf("%s-%d", s.id, s.commands.Load())
		}
		s.gateway.Log.Error("command failed", "event", req.Type, "id", req.ID, "user", s.user(), "err", err)
	}
	s.count(req.Type, string(e.Code), start, trace)
	retry := spread(e.RetryAfter).Milliseconds()
	if !s.knownClient && req.Type != "" && req.Type != "ping" {
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

// spread lengthens a wait by up to a half, so that clients refused together do not
// come back together.
func spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d + rand.N(d/2+1)
}

func (s *session) count(command, result string, start time.Time, trace string) {
	if command == "" {
		command = "unknown"
	}
	s.gateway.Metrics.Answered(command, result, s.gateway.Now().Sub(start), s.id, trace)
}

// reply sends a frame that must not be dropped.
func (s *session) reply(v any) {
	s.gateway.Metrics.HeldWrites.Check()
	s.conn.Reply(s.encode(v))
}

// encode returns v as a text frame. Encoding the server's own types cannot fail.
func (s *session) encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("gateway: encode a frame: " + err.Error())
	}
	return frame.Text(b)
}
