// Package api serves HTTP: the REST calls of the protocol, their reference, and the
// mount points of the socket endpoint and the page. A call that is a command is one
// line in a table; package command implements it.
package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Server serves HTTP. Rules, Auth, Accounts and Door must be set.
type Server struct {
	Rules    *command.Service
	Auth     *auth.Authenticator
	Accounts *auth.Accounts
	Door     *auth.OriginPolicy

	// Socket serves GET /api/v1/ws and /api/v1/ws/{user_id}, Web every path that is not
	// under /api. Either may be nil.
	Socket, Web http.Handler
	// Ready returns why this process should not receive traffic, nil if it should.
	Ready func(context.Context) error

	// Database reports on the database to administrators. It may be nil.
	Database Database

	// OldPage enables workarounds for defects of the published old page.
	OldPage bool
	// DelayOwnEcho delays the frames of a user's own messages in a channel until release
	// is called, after the response has been written. It is used for the old page, and
	// may be nil.
	DelayOwnEcho func(user chat.UserID, channel chat.ID) (release func())

	// CORSOrigins are the other origins whose pages may read responses.
	CORSOrigins []string

	Log   *slog.Logger     // discarded if nil
	Now   func() time.Time // time.Now if nil
	Trace *trace.Tracer    // nil to trace nothing
}

const (
	prefix = "/api/v1"
	// maxBody is the maximum size of a request body, in bytes.
	maxBody = 64 << 10
	// callTimeout limits the whole duration of a call.
	callTimeout = 10 * time.Second
	// readyTimeout is short, because load balancers do not wait long.
	readyTimeout = 2 * time.Second
)

// Handler returns the handler for all requests. It copies s: later changes to s have no
// effect.
func (s *Server) Handler() http.Handler {
	own := *s
	if own.Log == nil {
		own.Log = slog.New(slog.DiscardHandler)
	}
	if own.Now == nil {
		own.Now = time.Now
	}
	d := newHandler(&own)

	outside := http.NewServeMux()
	outside.HandleFunc("GET /healthz", alive)
	outside.HandleFunc("GET /health", alive) // its name in the old system
	outside.HandleFunc("GET /readyz", d.ready)
	if own.Web != nil {
		outside.Handle("/", own.Web)
	}

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		switch {
		case path == prefix+"/ws" || strings.HasPrefix(path, prefix+"/ws/"):
			d.socket(w, r)
		case path == "/api" || strings.HasPrefix(path, "/api/"):
			d.serve(w, r)
		default:
			d.outside(w, r, outside)
		}
	})
}

// alive reports that the process is running, whatever else is not.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok\n") // the client may be gone
}

// ready reports whether the process can serve. The reasons go to the log.
func (d *handler) ready(w http.ResponseWriter, r *http.Request) {
	if d.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := d.Ready(ctx); err != nil {
			d.Log.WarnContext(ctx, "not ready", "err", err)
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "not ready\n")
			return
		}
	}
	alive(w, r)
}

// socket passes a handshake to the socket endpoint with the original response writer,
// because the endpoint takes over the connection.
func (d *handler) socket(w http.ResponseWriter, r *http.Request) {
	defer d.recoverBare(w, r)
	if d.sockets == nil {
		d.serve(w, r)
		return
	}
	if _, pattern := d.sockets.Handler(r); pattern == "" {
		d.serve(w, r)
		return
	}
	d.sockets.ServeHTTP(w, r)
}

func (d *handler) outside(w http.ResponseWriter, r *http.Request, next http.Handler) {
	defer d.recoverBare(w, r)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	next.ServeHTTP(w, r)
}
