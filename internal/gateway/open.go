package gateway

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/trace"
)

// opening is a handshake that is admitted and becomes a socket.
type opening struct {
	*Gateway
	request  *http.Request
	identity auth.Identity
	address  netip.Addr
	resume   *chat.ResumeRequest // nil for none
	endTurn  func()              // lets the next handshake use the database
}

// open subscribes the socket to the user's channels, and only then upgrades the
// connection: a server that cannot reach its database reports that in HTTP.
func (o *opening) open(w http.ResponseWriter) error {
	s := o.session()
	ctx, cancel := context.WithTimeout(o.request.Context(), openTimeout)
	defer cancel()
	channels, err := o.attach(ctx, s)
	if err != nil {
		return err
	}
	// From here on the client can delay the handshake by not reading, so the turn ends.
	o.endTurn()
	var resumed map[chat.ID]chat.SeqRange
	var refused []chat.ErrorFrame
	if o.resume != nil {
		resumed, refused = s.resume(o.resume.Epoch, o.resume.Cursors)
	}
	s.id = chat.NewID()
	trace.Connection(ctx, s.id)
	nc, leftover, err := s.upgrade(w, o.request, s.encode(chat.ConnectionFrame{
		Type: chat.EventConnection, Status: "connected", UserID: o.identity.User, Timestamp: chat.TimeOf(o.Now()),
		ConnectionID: s.id.String(), Epoch: o.Epoch, Durability: o.Durability,
		HeartbeatS: int(o.Heartbeat / time.Second), Channels: channels, Resumed: resumed,
	}))
	if err != nil {
		s.hub.Close()
		return err
	}
	o.start(ctx, s, nc, leftover, len(channels), refused)
	return nil
}

func (o *opening) session() *session {
	return &session{
		gateway: o.Gateway, address: o.address.As16(), opened: centiseconds(o.age()),
		login: fingerprint(o.identity.Session), expires: expiry(o.identity.ExpiresAt), origin: originOf(&o.identity),
		knownClient: hasToken(o.request.Header["Sec-Websocket-Protocol"], chat.Protocol),
	}
}

// attach registers the socket with the hub and returns the user's channels.
func (o *opening) attach(ctx context.Context, s *session) ([]chat.ChannelState, error) {
	user := o.identity.User
	if err := o.Commands.Journal.FlushReads(ctx, user); err != nil {
		return nil, fmt.Errorf("flush read cursors: %w", err)
	}
	legacyPage := o.LegacyPage && !s.knownClient
	channels, err := o.Hub.AttachTo(ctx, &s.hub, s, user, o.Limits.SocketsPerUser, legacyPage)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the user's channels: %w", err)
	}
	if o.Deflate && frame.OffersDeflate(o.request.Header["Sec-Websocket-Extensions"]) {
		s.hub.Deflate()
	}
	if channels == nil {
		channels = []chat.ChannelState{}
	}
	return channels, nil
}

// start passes the socket to the poller, which calls session.Closed once, and lets the
// hub write to it. The handshake is answered, so errors close the socket.
func (o *opening) start(
	ctx context.Context, s *session, nc net.Conn, leftover []byte, channels int, refused []chat.ErrorFrame,
) {
	total := o.sessions.add(s)
	o.Metrics.Sockets.Set(float64(total))
	o.Log.Log(ctx, s.logLevel(), "user connected",
		"user", o.identity.User, "connection", s.id, "total_connections", total, "channels", channels)
	if err := o.Poller.AddTo(&s.conn, nc, leftover, s); err != nil {
		s.Closed(nil, err)
		return
	}
	if o.Auth.MaybeRevoked(o.identity) && o.Auth.Recheck(ctx, o.identity) != nil {
		s.close(chat.CloseTokenExpired, "logged out")
		return
	}
	for _, f := range refused {
		s.reply(f)
	}
	s.hub.Open()
}

// upgrade answers 101, and sends the first frame in the same write. leftover is what
// the client has sent behind the handshake.
func (s *session) upgrade(w http.ResponseWriter, r *http.Request, first []byte) (
	nc net.Conn, leftover []byte, err error,
) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack the connection: %w", err)
	}
	b := make([]byte, 0, 256+len(first))
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"...)
	b = append(b, "Sec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-Websocket-Key"))...)
	if s.knownClient {
		b = append(b, "\r\nSec-WebSocket-Protocol: "+chat.Protocol...)
	}
	if s.hub.Deflates() {
		b = append(b, "\r\nSec-WebSocket-Extensions: "+frame.DeflateAnswer...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, first...)
	s.gateway.Metrics.HeldWrites.Check()
	err = nc.SetDeadline(time.Now().Add(openTimeout))
	if err == nil {
		_, err = nc.Write(b)
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	leftover, peekErr := rw.Peek(rw.Reader.Buffered())
	if err = errors.Join(err, peekErr); err != nil {
		// The client is gone or does not read, so no answer would reach it.
		return nil, nil, errors.Join(errGone, nc.Close())
	}
	return nc, slices.Clone(leftover), nil
}

// errGone is returned when the connection ends during the handshake.
var errGone = &chat.Error{Code: chat.Unavailable, Message: "The client disconnected during the handshake"}

// acceptKey returns the Sec-WebSocket-Accept for a key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
