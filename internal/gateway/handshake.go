package gateway

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/trace"
)

var (
	errTooMany    = &chat.Error{Code: chat.Overloaded, Message: "The server has as many connections as it takes. Try again later.", RetryAfter: 5 * time.Second}
	errOtherPath  = &chat.Error{Code: chat.Forbidden, Message: "The path names another user than the token"}
	errNotUpgrade = &chat.Error{Code: chat.BadRequest, Message: "This address speaks WebSocket: send Connection: Upgrade, Upgrade: websocket and a Sec-WebSocket-Key of 16 bytes in base64"}
	errVersion    = &chat.Error{Code: chat.BadRequest, Message: "Only WebSocket version 13 is spoken here"}
	errBadUser    = &chat.Error{Code: chat.BadRequest, Field: "user_id", Message: "The path must end in a user id: 1 to 64 characters out of A-Z a-z 0-9 _ . : -"}
)

// ServeHTTP makes a socket of a request for /api/v1/ws or /api/v1/ws/{user_id}.
// Whatever can be refused is refused before the upgrade, as plain HTTP.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, result, status := g.Now(), "ok", http.StatusSwitchingProtocols
	ctx, span := g.Trace.Request(r, start)
	if span.On() {
		span.Route(r.Pattern)
		r = r.WithContext(ctx)
	}
	if err := g.handshake(w, r); err != nil {
		e := chat.AsError(err)
		result = string(e.Code)
		if e.Code == chat.Internal {
			g.Log.Error("open a socket", "err", err)
		}
		status = refuse(w, e)
	}
	span.Answered(status)
	g.Metrics.Handshakes.WithLabelValues(result).Inc()
	g.Metrics.Handshake.Observe(g.Now().Sub(start).Seconds())
}

func (g *Gateway) handshake(w http.ResponseWriter, r *http.Request) error {
	if g.draining.Load() || !g.shaking.acquire() {
		return g.leaving()
	}
	defer g.shaking.release()
	if err := upgradeable(r); err != nil {
		return err
	}
	if err := g.refuseKnown(r); err != nil {
		return err
	}
	// The turn ends before anything is written: a client that does not read holds
	// nobody up.
	leave, err := g.admission.admit(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	identity, err := g.identify(r)
	if err != nil {
		return err
	}
	back, err := resumption(r)
	if err != nil {
		return err
	}
	if err := g.mayOpen(identity.User); err != nil {
		return err
	}
	address := netip.AddrFrom16(g.Door.ClientAddr(r).As16()).Unmap() // as the session keeps it
	if !g.sessions.reserve(address, g.Limits.Sockets, g.Limits.SocketsPerAddress) {
		return errTooMany
	}
	if err := g.open(w, r, identity, address, back, leave); err != nil {
		g.sessions.release(address)
		return err
	}
	return nil
}

// mayOpen refuses users who have as many sockets as they may, or were thrown out a
// moment ago.
func (g *Gateway) mayOpen(u chat.UserID) error {
	if rest := g.rates.blocked.Wait(u); rest > 0 {
		return &chat.Error{Code: chat.RateLimited, Message: "One of your connections was closed because it sent too much or too many errors. Wait before you connect again.", RetryAfter: rest}
	}
	if n := g.Limits.SocketsPerUser; n > 0 && g.Hub.SocketCount(u) >= n {
		return hub.ErrTooManySockets
	}
	return nil
}

// refuseKnown refuses them by their tokens, before they take anybody's turn: a client
// in a loop is refused often.
func (g *Gateway) refuseKnown(r *http.Request) error {
	token, source := auth.TokenFrom(r)
	if source == auth.SourceNone && g.Auth.Mode() == auth.ModeNone {
		token = r.PathValue("user_id")
	}
	if id, ok := g.Auth.Cached(token); ok {
		return g.mayOpen(id.User)
	}
	return nil
}

func (g *Gateway) identify(r *http.Request) (auth.Identity, error) {
	user := chat.UserID(r.PathValue("user_id"))
	if user != "" && !user.Valid() {
		return auth.Identity{}, errBadUser
	}
	token, source := auth.TokenFrom(r)
	if !g.Door.OriginAllowed(r, source) {
		return auth.Identity{}, auth.ErrOrigin
	}
	if source == auth.SourceNone && g.Auth.Mode() == auth.ModeNone {
		token = string(user) // development: everybody is believed
	}
	identity, err := g.Auth.Authenticate(r.Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	if user != "" && user != identity.User {
		return auth.Identity{}, errOtherPath
	}
	return identity, nil
}

// resumption reads a resume in the handshake, which saves a reconnecting client a
// round trip; nil when there is none.
func resumption(r *http.Request) (*chat.ResumeRequest, error) {
	compact := r.URL.Query().Get("resume")
	if compact == "" {
		return nil, nil //nolint:nilnil // most have none
	}
	epoch, cursors, err := chat.ParseCursors(compact)
	if err != nil {
		return nil, chat.Invalid("resume", "resume is "+err.Error())
	}
	return &chat.ResumeRequest{Epoch: epoch, Cursors: cursors}, nil
}

// upgradeable checks a handshake by RFC 6455 section 4.2.1.
func upgradeable(r *http.Request) error {
	switch {
	case r.Method != http.MethodGet || !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1:
		return errNotUpgrade
	case !hasToken(r.Header["Connection"], "upgrade") || !hasToken(r.Header["Upgrade"], "websocket"):
		return errNotUpgrade
	case !slices.Equal(r.Header["Sec-Websocket-Version"], []string{"13"}):
		return errVersion
	}
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return errNotUpgrade
	}
	if key, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(key) != 16 {
		return errNotUpgrade
	}
	return nil
}

// hasToken looks for a token in a comma-separated list, which may be spread over
// several headers.
func hasToken(headers []string, token string) bool {
	for _, h := range headers {
		for part := range strings.SplitSeq(h, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// open joins the user's channels, and only then upgrades: a server that cannot
// reach its database says so in HTTP.
func (g *Gateway) open(w http.ResponseWriter, r *http.Request, identity auth.Identity, address netip.Addr, back *chat.ResumeRequest, leave func()) error {
	s := &session{
		gateway: g, expires: expiry(identity.ExpiresAt), login: fingerprint(identity.Session), address: address.As16(),
		opened: centiseconds(g.age()), origin: originOf(&identity),
	}
	s.known = hasToken(r.Header["Sec-Websocket-Protocol"], chat.Protocol)
	ctx, cancel := context.WithTimeout(r.Context(), openTimeout)
	defer cancel()
	if err := g.Rules.Journal.FlushReads(ctx, identity.User); err != nil {
		return fmt.Errorf("settle read cursors: %w", err)
	}
	standings, err := g.Hub.AttachTo(ctx, &s.hub, s, identity.User, g.Limits.SocketsPerUser, g.OldPage && !s.known)
	if err != nil {
		return fmt.Errorf("join the user's channels: %w", err)
	}
	leave()
	if g.Deflate && frame.OffersDeflate(r.Header["Sec-Websocket-Extensions"]) {
		s.hub.Deflate()
	}
	if standings == nil {
		standings = []chat.ChannelState{}
	}
	var resumed map[chat.ID]chat.SeqRange
	var refused []chat.ErrorFrame
	if back != nil {
		resumed, refused = s.resume(back.Epoch, back.Cursors)
	}
	s.id = chat.NewID()
	trace.Connection(ctx, s.id)
	hello := s.encode(chat.ConnectionFrame{
		Type: chat.EventConnection, Status: "connected", UserID: identity.User, Timestamp: chat.TimeOf(g.Now()),
		ConnectionID: s.id.String(), Epoch: g.Epoch, Durability: g.Durability,
		HeartbeatS: int(g.Heartbeat / time.Second), Channels: standings, Resumed: resumed,
	})
	nc, leftover, err := s.upgrade(w, r, hello)
	if err != nil {
		s.hub.Close()
		return err
	}
	// From here on the socket is the poller's; it tells session.Closed, once.
	total := g.sessions.add(s)
	g.Metrics.Sockets.Set(float64(total))
	g.Log.Log(ctx, s.logLevel(), "user connected", "user", identity.User, "connection", s.id, "total_connections", total, "channels", len(standings))
	if err := g.Poller.AddTo(&s.conn, nc, leftover, s); err != nil {
		s.Closed(nil, err)
		return nil // answered already: the connection is gone
	}
	if g.Auth.MaybeRevoked(identity) && g.Auth.Recheck(ctx, identity) != nil {
		s.close(chat.CloseTokenExpired, "logged out")
		return nil
	}
	for _, f := range refused {
		s.reply(f)
	}
	s.hub.Open()
	return nil
}

// upgrade answers 101 and sends the first frame with it, in one write.
func (s *session) upgrade(w http.ResponseWriter, r *http.Request, first []byte) (net.Conn, []byte, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over the connection: %w", err)
	}
	b := make([]byte, 0, 256+len(first))
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, acceptKey(r.Header.Get("Sec-Websocket-Key"))...)
	if s.known {
		b = append(b, "\r\nSec-WebSocket-Protocol: "+chat.Protocol...)
	}
	if s.hub.Deflates() {
		b = append(b, "\r\nSec-WebSocket-Extensions: "+frame.DeflateAnswer...)
	}
	b = append(b, "\r\n\r\n"...)
	b = append(b, first...)
	s.gateway.Metrics.Held.Look()
	err = nc.SetDeadline(time.Now().Add(openTimeout))
	if err == nil {
		_, err = nc.Write(b)
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	leftover, peekErr := rw.Peek(rw.Reader.Buffered())
	if err = errors.Join(err, peekErr); err != nil {
		// The client is gone, or does not read: there is nobody to tell.
		return nil, nil, errors.Join(errGone, nc.Close())
	}
	return nc, slices.Clone(leftover), nil
}

// errGone: the connection ended while it was being opened.
var errGone = &chat.Error{Code: chat.Unavailable, Message: "the client went away during the handshake"}

// acceptKey is the answer to a key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// refuse answers a handshake in plain HTTP (RFC 9457). After a take-over it does
// nothing: net/http drops the write. It gives the status.
func refuse(w http.ResponseWriter, e *chat.Error) (status int) {
	status = e.Code.HTTPStatus()
	switch e {
	case errVersion:
		status = http.StatusUpgradeRequired
		w.Header().Set("Sec-WebSocket-Version", "13")
	case errNotUpgrade, errBadUser:
		status = http.StatusBadRequest
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", auth.Challenge)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	body, _ := json.Marshal(map[string]any{ //nolint:errchkjson // strings and numbers
		"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": e.Message, "code": e.Code,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return status
}
