package gateway

import (
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// session is one open socket. While it is idle, it consists of this struct and of
// what the hub and the poller keep, and does not grow: a test checks its size.
type session struct {
	gateway *Gateway
	conn    netpoll.Conn // these two are not pointers: one allocation for a socket
	hub     hub.Socket   // wastes less memory than three
	id      chat.ID
	address [16]byte // of the client, see netip.Addr.As16
	login   uint32   // fingerprint of the log-in, 0 for none
	expires uint32   // when the credential expires, see expiry
	opened  uint32   // age of the gateway, see centiseconds
	index   int32    // in the registry, guarded by its mutex

	// Used by Data and, while reading is paused, by the command that runs.
	partial      frame.Partial
	rate         ratelimit.Bucket // of commands
	control      ratelimit.Bucket // of control frames
	commands     atomic.Uint32    // received so far
	work         atomic.Uint32    // see drain
	partialBytes atomic.Uint32    // size of partial as counted by the budget; released once closed
	knownClient  bool             // speaks chowk.v1
	origin       uint8            // see originOf: one byte, so that an idle socket stays small
	violations   uint8            // refused commands in a row
	warned       bool             // that the credential expires soon; used by the sweep only
}

func (s *session) user() chat.UserID { return s.hub.User() }

// internal is the bit of session.origin that marks sockets of this process.
const internal = 1 << 7

// originOf returns what a session keeps of the identity that opened it: the kind of the
// actor, and whether this process itself opened the socket.
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

// limits returns the limits of the frames that the peer may send.
func (s *session) limits() *frame.Limits {
	if s.hub.Deflates() {
		return &s.gateway.deflateLimits
	}
	return &s.gateway.Limits.Frame
}

func (s *session) remote() netip.Addr { return netip.AddrFrom16(s.address).Unmap() }

// fingerprint returns what a session keeps of its log-in's hash: enough to distinguish a
// user's log-ins.
func fingerprint(h model.TokenHash) uint32 { return binary.LittleEndian.Uint32(h[:]) }

// expiry returns t in Unix seconds, 0 for never. Times after 2106 do not fit and
// become the last moment of it that does.
func expiry(t chat.Time) uint32 { return uint32(min(max(t.Std().Unix(), 0), math.MaxUint32)) }

// centiseconds returns an age of the gateway in hundredths of a second. It wraps
// around after 497 days.
func centiseconds(age time.Duration) uint32 { return uint32(age.Milliseconds() / 10) }

// openFor returns how long the socket has been open at an age of the gateway, to a
// hundredth of a second.
func (s *session) openFor(age time.Duration) time.Duration {
	return time.Duration(centiseconds(age)-s.opened) * 10 * time.Millisecond
}

// Write implements [hub.Conn].
func (s *session) Write(b []byte) bool {
	s.gateway.Metrics.HeldWrites.Check()
	return s.conn.Write(b)
}

// Backlogged implements [hub.Conn].
func (s *session) Backlogged() bool { return s.conn.Backlogged() }

// Data implements [netpoll.Handler]. It runs commands that need only memory. A
// command that may block runs on a goroutine, and reading is paused until it is done:
// a socket's commands run one at a time, in order.
func (s *session) Data(_ *netpoll.Conn, p []byte) netpoll.Next { return s.consume(p) }

func (s *session) consume(p []byte) netpoll.Next {
	for len(p) > 0 {
		parser := frame.Parser{Limits: s.limits(), Partial: s.partial}
		n, msg, err := parser.Next(p)
		s.partial = parser.Partial
		p = p[n:]
		if err != nil {
			s.closeBroken(err)
			return netpoll.Pause
		}
		if msg.Opcode == frame.OpNone {
			break
		}
		if !s.handle(msg, p) {
			return netpoll.Pause
		}
	}
	if !s.countPartial() {
		s.close(chat.CloseTryAgainLater, "too many messages are partly received at the moment")
		return netpoll.Pause
	}
	if s.partial.Pending() {
		return netpoll.Partial
	}
	return netpoll.Continue
}

// handle handles one message or control frame, behind which rest was read. It returns
// false if reading stops.
func (s *session) handle(msg frame.Message, rest []byte) bool {
	switch msg.Opcode {
	case frame.OpText:
		if msg.Compressed {
			text, err := frame.Inflate(msg.Payload, s.limits().Message)
			if err != nil {
				s.closeBroken(err)
				return false
			}
			msg.Payload = text
		}
		return s.command(msg.Payload, rest)
	case frame.OpPing, frame.OpPong:
		if !s.allowControl() {
			return s.abuse("too many control frames")
		}
		if msg.Opcode == frame.OpPing {
			s.Write(frame.Pong(msg.Payload))
		}
		return true
	case frame.OpClose:
		s.close(msg.Code, "")
		return false
	default:
		s.close(frame.CloseUnsupported, "only text frames are supported")
		return false
	}
}

// Writable implements [netpoll.Handler]. The hub sends what it has for the socket.
func (s *session) Writable(*netpoll.Conn) { s.hub.Writable() }

// Idle implements [netpoll.Handler]. After a silent heartbeat, a ping distinguishes a
// quiet peer from a dead one.
func (s *session) Idle(*netpoll.Conn) { s.Write(pingFrame) }

var pingFrame = frame.Ping(nil)

// PartialTimeout implements [netpoll.Handler].
func (s *session) PartialTimeout(*netpoll.Conn) {
	s.close(chat.CloseAbuse, "a message took too long to arrive")
}

// Closed implements [netpoll.Handler]. It may run on the poller's goroutine, so what
// takes locks runs on another.
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
	g.Log.Log(g.ctx, s.logLevel(), "user disconnected",
		"user", s.user(), "connection", s.id, "reason", reason, "events", s.commands.Load(),
		"open_for", s.openFor(g.age()), "total_connections", total)
	g.background.Go(s.hub.Close) // ends when the socket has left its channels
}

// logLevel keeps this process's own sockets out of the log.
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

// close closes the socket with a close frame.
func (s *session) close(code uint16, reason string) { s.conn.Close(frame.Close(code, reason)) }

// closeBroken closes a socket after its peer has violated the protocol.
func (s *session) closeBroken(err error) {
	var e *frame.Error
	if !errors.As(err, &e) {
		e = &frame.Error{Code: frame.CloseInternal}
	}
	s.close(e.Code, e.Reason)
}

// abuseCooldown is how long a user cannot open sockets after one was closed for abuse.
// A client that reconnects at once and continues costs more than its commands did.
const abuseCooldown = 10 * time.Second

// abuse closes the socket of a client that misbehaves. It returns false, like handle.
func (s *session) abuse(reason string) bool {
	s.gateway.rates.blocked.Block(s.user(), abuseCooldown)
	s.close(chat.CloseAbuse, reason)
	return false
}
