// Package api is the HTTP door: the REST calls of the protocol, their reference,
// and the mount points of the socket door and the page. A call that is a verb is
// one line in a table; what it means is the rules' business.
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

// Server is the HTTP door. Rules, Auth, Accounts and Door must be set.
type Server struct {
	Rules    *command.Service
	Auth     *auth.Authenticator
	Accounts *auth.Accounts
	Door     *auth.OriginPolicy

	// Socket answers GET /api/v1/ws and /api/v1/ws/{user_id}, Web what is not under
	// /api. Each may be nil: then there is nothing there.
	Socket, Web http.Handler
	// Ready says why this process should get no traffic, nil when it should.
	Ready func(context.Context) error

	// Database tells administrators of the database. It may be nil: then there is
	// nothing to ask.
	Database Database

	// OldPage turns on what the published old page needs because of its own
	// defects.
	OldPage bool
	// DelayOwnEcho holds back a user's own message frames of a channel until release is
	// called, after the answer has been written. It is used for the old page, and
	// may be nil.
	DelayOwnEcho func(user chat.UserID, channel chat.ID) (release func())

	// CORSOrigins are the pages of other origins that may read answers.
	CORSOrigins []string
	// SessionTTL bounds the life of the cookie; 0: it lives as long as its session.
	SessionTTL time.Duration

	Log   *slog.Logger     // discarded when nil
	Now   func() time.Time // time.Now when nil
	Trace *trace.Tracer    // nil: nothing is traced
}

const (
	prefix = "/api/v1"
	// maxBody is the largest request body.
	maxBody = 64 << 10
	// callTimeout is how long one call may take in all.
	callTimeout = 10 * time.Second
	// readyTimeout is for the balancer that asks: it does not wait long.
	readyTimeout = 2 * time.Second
)

// Handler answers every request to the server. It reads s once: changes made to s
// afterwards have no effect.
func (s *Server) Handler() http.Handler {
	own := *s
	if own.Log == nil {
		own.Log = slog.New(slog.DiscardHandler)
	}
	if own.Now == nil {
		own.Now = time.Now
	}
	d := newDoor(&own)

	outside := http.NewServeMux()
	outside.HandleFunc("GET /healthz", alive)
	outside.HandleFunc("GET /health", alive) // the old system's name for it
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

// alive says that the process runs, whatever else does not.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "ok\n") // a prober that is gone need not be told
}

// ready says whether the process can serve. Why not is for the log.
func (d *door) ready(w http.ResponseWriter, r *http.Request) {
	if d.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := d.Ready(ctx); err != nil {
			d.Log.WarnContext(ctx, "not ready", "error", err)
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "not ready\n")
			return
		}
	}
	alive(w, r)
}

// socket hands a handshake to the socket door, which needs the connection itself:
// nothing is put around its writer.
func (d *door) socket(w http.ResponseWriter, r *http.Request) {
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

func (d *door) outside(w http.ResponseWriter, r *http.Request, next http.Handler) {
	defer d.recoverBare(w, r)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	next.ServeHTTP(w, r)
}
