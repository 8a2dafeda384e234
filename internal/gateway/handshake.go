package gateway

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/hub"
)

var (
	errTooManySockets = &chat.Error{
		Code: chat.Overloaded, Message: "Connection limit reached. Try again later.", RetryAfter: 5 * time.Second,
	}
	errOtherUser  = &chat.Error{Code: chat.Forbidden, Message: "The user in the path is not the user of the token"}
	errNotUpgrade = &chat.Error{
		Code: chat.BadRequest,
		Message: "This endpoint is a WebSocket: send Connection: Upgrade, Upgrade: websocket and a " +
			"Sec-WebSocket-Key of 16 bytes in base64",
	}
	errVersion = &chat.Error{Code: chat.BadRequest, Message: "Only version 13 of WebSocket is supported"}
	errBadUser = &chat.Error{
		Code: chat.BadRequest, Field: "user_id",
		Message: "The path must end in a user id of 1 to 64 characters: A-Z a-z 0-9 _ . : -",
	}
)

// ServeHTTP opens a socket for a request to /api/v1/ws or /api/v1/ws/{user_id}. All
// refusals come before the upgrade, in plain HTTP.
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
			g.Log.Error("handshake failed", "err", err)
		}
		status = refuse(w, e)
	}
	span.Answered(status)
	g.Metrics.Handshakes.WithLabelValues(result).Inc()
	g.Metrics.HandshakeDuration.Observe(g.Now().Sub(start).Seconds())
}

func (g *Gateway) handshake(w http.ResponseWriter, r *http.Request) error {
	if g.draining.Load() || !g.handshakes.acquire() {
		return g.errDraining()
	}
	defer g.handshakes.release()
	if err := checkUpgrade(r); err != nil {
		return err
	}
	if err := g.checkCachedUser(r); err != nil {
		return err
	}
	release, err := g.admission.admit(r.Context())
	if err != nil {
		return err
	}
	defer release()
	identity, err := g.identify(r)
	if err != nil {
		return err
	}
	resume, err := parseResume(r)
	if err != nil {
		return err
	}
	if err := g.checkUser(identity.User); err != nil {
		return err
	}
	address := netip.AddrFrom16(g.Origins.ClientAddr(r).As16()).Unmap() // as the session keeps it
	if !g.sessions.reserve(address, g.Limits.Sockets, g.Limits.SocketsPerAddress) {
		return errTooManySockets
	}
	o := opening{Gateway: g, request: r, identity: identity, address: address, resume: resume, endTurn: release}
	if err := o.open(w); err != nil {
		g.sessions.release(address)
		return err
	}
	return nil
}

// checkUser refuses users who have the maximum number of sockets, or of whom a socket
// was closed for abuse a moment ago.
func (g *Gateway) checkUser(u chat.UserID) error {
	if wait := g.rates.blocked.Wait(u); wait > 0 {
		return &chat.Error{
			Code:       chat.RateLimited,
			Message:    "One of your connections was closed because it sent too much or too many errors. Try again later.",
			RetryAfter: wait,
		}
	}
	if n := g.Limits.SocketsPerUser; n > 0 && g.Hub.SocketCount(u) >= n {
		return hub.ErrTooManySockets
	}
	return nil
}

// checkCachedUser is checkUser before the token is checked, if it is cached. Clients in
// a loop are refused often, and this takes no turn from others.
func (g *Gateway) checkCachedUser(r *http.Request) error {
	token, source := auth.TokenFrom(r)
	if source == auth.SourceNone && g.Auth.Mode() == auth.ModeNone {
		token = r.PathValue("user_id")
	}
	if id, ok := g.Auth.Cached(token); ok {
		return g.checkUser(id.User)
	}
	return nil
}

func (g *Gateway) identify(r *http.Request) (auth.Identity, error) {
	user := chat.UserID(r.PathValue("user_id"))
	if user != "" && !user.Valid() {
		return auth.Identity{}, errBadUser
	}
	token, source := auth.TokenFrom(r)
	if !g.Origins.OriginAllowed(r, source) {
		return auth.Identity{}, auth.ErrOrigin
	}
	if source == auth.SourceNone && g.Auth.Mode() == auth.ModeNone {
		token = string(user) // development: no authentication
	}
	identity, err := g.Auth.Authenticate(r.Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	if user != "" && user != identity.User {
		return auth.Identity{}, errOtherUser
	}
	return identity, nil
}

// parseResume returns the resume request in the query, which saves a reconnecting
// client a round trip; nil if there is none.
func parseResume(r *http.Request) (*chat.ResumeRequest, error) {
	compact := r.URL.Query().Get("resume")
	if compact == "" {
		return nil, nil //nolint:nilnil // most requests have none
	}
	epoch, cursors, err := chat.ParseCursors(compact)
	if err != nil {
		return nil, chat.Invalid("resume", "resume is "+err.Error())
	}
	return &chat.ResumeRequest{Epoch: epoch, Cursors: cursors}, nil
}

// checkUpgrade checks that r is a WebSocket handshake (RFC 6455 section 4.2.1).
func checkUpgrade(r *http.Request) error {
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

// hasToken reports whether a comma-separated list, which may span several headers,
// contains a token.
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

// refuse answers a handshake in plain HTTP (RFC 9457) and returns the status. Once the
// connection is hijacked it does nothing: net/http drops the write.
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
		"type": "about:blank", "title": http.StatusText(status), "status": status,
		"detail": e.Message, "code": e.Code,
	})
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body)
	return status
}
