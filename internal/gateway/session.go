package gateway

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// session is one open socket. While it is idle it is this struct and what the
// rooms below keep, and nothing that can grow: a test watches its size.
type session struct {
	gateway *Gateway
	conn    netpoll.Conn // these two are parts, not pointers: one piece of memory for
	hub     hub.Socket   // a socket leaves less room unused between pieces
	id      chat.ID
	address [16]byte // the client's, see netip.Addr.As16
	login   uint32   // the first bytes of the log-in's hash, 0 for none
	expires uint32   // when the credential does, see expiry
	opened  uint32   // see hundredths
	place   int32    // in the registry, guarded by it

	// Touched by Data and, while reading is paused, by the event being carried out.
	partial      frame.Partial // received
	rate         ratelimit.Bucket
	control      ratelimit.Bucket
	events       atomic.Uint32
	work         atomic.Uint32 // see leave
	partialBytes atomic.Uint32 // bytes of a message half received, as counted; released when closed
	known        bool          // speaks chowk.v1
	origin       uint8         // see originOf: one byte, so that an idle socket stays small
	violations   uint8
	warned       bool // that its credential expires; the sweep's own
}

func (s *session) user() chat.UserID { return s.hub.User() }

// internal is the bit of session.origin that marks sockets of this process.
const internal = 1 << 7

// originOf returns what a session keeps of the identity that opened it: the kind of the actor,
// and whether this process itself opened the socket.
func originOf(identity *auth.Identity) uint8 {
	origin := uint8(identity.Kind)
	if identity.IsInternal {
		origin |= internal
	}
	return origin
}

// actor returns the actor who opened the socket.
func (s *session) actor() model.Actor {
	return model.Actor{Kind: s.actorKind(), User: s.user()}
}

func (s *session) actorKind() model.ActorKind { return model.ActorKind(s.origin &^ internal) }

// isInternal reports whether this process itself opened the socket.
func (s *session) isInternal() bool { return s.origin&internal != 0 }

// limits bound what the peer may send.
func (s *session) limits() *frame.Limits {
	if s.hub.Deflates() {
		return &s.gateway.packed
	}
	return &s.gateway.Limits.Frame
}

func (s *session) remote() netip.Addr { return netip.AddrFrom16(s.address).Unmap() }

// fingerprint is what a session keeps of its log-in: enough to tell the user's
// log-ins apart.
func fingerprint(h model.TokenHash) uint32 { return binary.LittleEndian.Uint32(h[:]) }

// expiry is a moment in Unix seconds, 0 for never. What is later than 2106, and so
// does not fit, is then.
func expiry(t chat.Time) uint32 { return uint32(min(max(t.Std().Unix(), 0), math.MaxUint32)) }

// centiseconds are those of seconds of the gateway's age, without what does not fit:
// good to tell apart moments within 497 days.
func centiseconds(age time.Duration) uint32 { return uint32(age.Milliseconds() / 10) }

// openFor is for how long the socket has been open at an age, to a hundredth of a
// second.
func (s *session) openFor(age time.Duration) time.Duration {
	return time.Duration(centiseconds(age)-s.opened) * 10 * time.Millisecond
}

// Write hands a frame to the peer, or refuses it while an earlier one waits.
func (s *session) Write(b []byte) bool {
	s.gateway.Metrics.Held.Look()
	return s.conn.Write(b)
}

// Backlogged reports whether something waits for the peer.
func (s *session) Backlogged() bool {
	return s.conn.Backlogged()
}

// Data takes bytes from the peer. Events that need only memory are carried out
// here; one that may wait gets a goroutine, and reading stops until it is done, so
// that a socket's events stay in order and it never has two under way.
func (s *session) Data(_ *netpoll.Conn, p []byte) netpoll.Next { return s.consume(p) }

func (s *session) consume(p []byte) netpoll.Next {
	for len(p) > 0 {
		parser := frame.Parser{Limits: s.limits(), Partial: s.partial}
		n, msg, err := parser.Next(p)
		s.partial = parser.Partial
		p = p[n:]
		if err != nil {
			s.broken(err)
			return netpoll.Pause
		}
		if msg.Opcode == frame.OpNone {
			break
		}
		if !s.handle(msg, p) {
			return netpoll.Pause
		}
	}
	if !s.hold() {
		s.close(chat.CloseTryAgainLater, "too many messages are half received at this moment")
		return netpoll.Pause
	}
	if s.partial.Pending() {
		return netpoll.Partial
	}
	return netpoll.Continue
}

// handle takes one frame or message; false stops the reading.
func (s *session) handle(msg frame.Message, rest []byte) bool {
	switch msg.Opcode {
	case frame.OpText:
		if msg.Compressed {
			text, err := frame.Inflate(msg.Payload, s.limits().Message)
			if err != nil {
				s.broken(err)
				return false
			}
			msg.Payload = text
		}
		return s.event(msg.Payload, rest)
	case frame.OpPing, frame.OpPong:
		if !s.allowControl() {
			return s.abuse("too many control frames")
		}
		if msg.Opcode == frame.OpPing {
			s.Write(frame.Pong(msg.Payload))
		}
		return true
	case frame.OpClose:
		s.finish(frame.Close(msg.Code, ""), "closed by the client")
		return false
	default:
		s.close(frame.CloseUnsupported, "only text frames are spoken here")
		return false
	}
}

// event answers one event, or starts to carry it out and stops the reading.
func (s *session) event(payload, rest []byte) bool {
	start := s.gateway.Now()
	s.events.Add(1)
	req, err := parse(payload)
	if err == nil && !s.allow() {
		err = errRate
	}
	if err != nil {
		s.refuse(req, err, start)
		if s.violations++; s.violations > maxStrikes {
			return s.abuse("too many errors")
		}
		return true
	}
	if req.Type == "ping" {
		s.violations = 0
		s.reply(chat.PongFrame{Type: chat.EventPong, Timestamp: chat.TimeOf(start), ID: req.ID})
		return true
	}
	v := command.Table[req.Type]
	if v.Transient {
		s.execute(context.Background(), req, v, start)
		return true
	}
	if !s.begin() {
		s.refuse(req, errLeaving, start)
		return true
	}
	if !s.gateway.begin() {
		s.refuse(req, errBusy, start)
		s.end()
		s.left()
		return true
	}
	// The read buffer belongs to the poller again when this returns.
	req.Data = append([]byte(nil), req.Data...)
	rest = append([]byte(nil), rest...)
	go func() { // ends when the event is answered, within eventTimeout
		defer s.gateway.end()
		ctx, cancel := context.WithTimeout(s.gateway.ctx, eventTimeout)
		defer cancel()
		s.execute(ctx, req, v, start)
		s.resumeReading(rest)
	}()
	return false
}

// resumeReading takes what came after an event that is done, and then reads on.
func (s *session) resumeReading(rest []byte) {
	s.end()
	next := s.consume(rest)
	s.left()
	if next != netpoll.Pause {
		s.conn.Resume(next)
	}
}

// execute runs a verb and answers.
func (s *session) execute(ctx context.Context, req chat.Request, v command.Command, start time.Time) {
	ctx, span := s.gateway.Trace.Event(ctx, req.Type, start, s.id)
	response, err := s.gateway.run(ctx, v, command.Caller{Actor: s.actor(), Socket: s}, req)
	ack := s.gateway.Trace.Ack(ctx)
	if err != nil {
		s.refuseTraced(req, err, start, span.ID())
	} else {
		s.violations = 0
		s.count(req.Type, "ok", start, span.ID())
		s.reply(chat.Ack{Type: chat.EventAck, Event: req.Type, Response: response, Timestamp: chat.TimeOf(s.gateway.Now()), ID: req.ID})
	}
	ack.End()
	span.Result(err)
}

// Writable goes on with what the hub has for the socket.
func (s *session) Writable(*netpoll.Conn) { s.hub.Writable() }

// Idle is called after a heartbeat's silence: a ping tells a quiet peer from a
// dead one.
func (s *session) Idle(*netpoll.Conn) { s.Write(pingFrame) }

var pingFrame = frame.Ping(nil)

// PartialTimeout is called when a message does not come to its end.
func (s *session) PartialTimeout(*netpoll.Conn) {
	s.close(chat.CloseAbuse, "a message took too long to arrive")
}

// Closed takes the socket out of everything. It may be on the poller's goroutine,
// so what takes locks is done on another.
func (s *session) Closed(_ *netpoll.Conn, err error) {
	g := s.gateway
	if !g.partial.release(s) {
		return // it is closed already
	}
	total := g.sessions.remove(s)
	g.sessions.release(s.remote())
	g.Metrics.Sockets.Set(float64(total))
	reason := closeReason(err)
	g.Metrics.Closed.WithLabelValues(reason).Inc()
	g.Log.Log(g.ctx, s.logLevel(), "user disconnected", "user", s.user(), "connection", s.id, "reason", reason, "events", s.events.Load(),
		"open_for", s.openFor(g.age()), "total_connections", total)
	g.background.Go(s.hub.Close) // ends when the socket is out of its channels
}

// logLevel keeps the process's own sockets out of the log.
func (s *session) logLevel() slog.Level {
	if s.isInternal() {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

func closeReason(err error) string {
	switch {
	case err == nil, errors.Is(err, netpoll.ErrClosed):
		return "closed"
	case errors.Is(err, io.EOF):
		return "hung_up"
	case errors.Is(err, netpoll.ErrHalfOpen):
		return "half_open"
	default:
		return "error"
	}
}

// broken closes a socket on which a frame broke the protocol.
func (s *session) broken(err error) {
	var e *frame.Error
	if !errors.As(err, &e) {
		e = &frame.Error{Code: frame.CloseInternal}
	}
	s.close(e.Code, e.Reason)
}

func (s *session) close(code uint16, reason string) { s.finish(frame.Close(code, reason), reason) }

func (s *session) finish(last []byte, _ string) {
	s.conn.Close(last)
}

// abuseCooldown is how long a user gets no new socket after one was closed because of
// what it did. Who comes back at once to go on costs more than the events did.
const abuseCooldown = 10 * time.Second

func (s *session) abuse(reason string) bool {
	s.gateway.rates.blocked.Block(s.user(), abuseCooldown)
	s.close(chat.CloseAbuse, reason)
	return false
}

// Join, Leave, Resume and Watch are command.Socket.

// Join makes the socket hear a channel.
func (s *session) Join(ctx context.Context, id chat.ID) (chat.Seq, error) {
	seq, err := s.hub.Join(ctx, id)
	if err == nil {
		s.gateway.Log.Info("joined channel", "user", s.user(), "channel", id, "connection", s.id)
	}
	return seq, err
}

// Leave makes the socket hear nothing more of a channel.
func (s *session) Leave(id chat.ID) { s.hub.Leave(id) }

// Watch makes the socket hear of the users' coming and going.
func (s *session) Watch(users []chat.UserID) { s.hub.Watch(users) }

// Resume sets the socket's cursors back, and tells it to resync the channels where
// that cannot be.
func (s *session) Resume(_ context.Context, epoch string, cursors map[chat.ID]chat.Seq) (map[chat.ID]chat.SeqRange, error) {
	resumed, refused := s.resume(epoch, cursors)
	for _, f := range refused {
		s.reply(f)
	}
	return resumed, nil
}

// resume sets cursors back; refused are the frames that tell where that cannot be,
// one for each reason, however many channels there are.
func (s *session) resume(epoch string, cursors map[chat.ID]chat.Seq) (resumed map[chat.ID]chat.SeqRange, refused []chat.ErrorFrame) {
	now := chat.TimeOf(s.gateway.Now())
	count := s.gateway.Metrics.Resumes
	if epoch != s.gateway.Epoch {
		count.WithLabelValues("epoch").Add(float64(len(cursors)))
		if len(cursors) > 0 {
			why := "This server's history is another one than yours. Load these channels again."
			refused = append(refused, chat.ResyncFrame(why, now, slices.Collect(maps.Keys(cursors))...))
		}
		return map[chat.ID]chat.SeqRange{}, refused
	}
	resumed, ahead, denied := s.hub.Resume(cursors)
	count.WithLabelValues("ok").Add(float64(len(resumed)))
	count.WithLabelValues("ahead").Add(float64(len(ahead)))
	count.WithLabelValues("denied").Add(float64(len(denied)))
	if len(ahead) > 0 {
		refused = append(refused, chat.ResyncFrame("Your cursor is ahead of the channel. Load these channels again.", now, ahead...))
	}
	if len(denied) > 0 {
		refused = append(refused, chat.NoResumeFrame(now, denied...))
	}
	return resumed, refused
}
