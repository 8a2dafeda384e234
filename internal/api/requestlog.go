package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/trace"
)

// requestLog is one call under /api. It is the call's response writer, and keeps
// the answer until it is whole: a panic half way is still an answer, and the
// length is known.
type requestLog struct {
	door   *door
	w      http.ResponseWriter
	r      *http.Request
	id     string // the request's, as the log and X-Request-Id have it
	start  time.Time
	span   trace.Span
	status int
	body   bytes.Buffer
	caller caller
	after  []func() // called when the answer has left
}

// caller is who makes a call; without an identity where none is needed.
type caller struct {
	command.Caller
	Identity   auth.Identity
	requestLog *requestLog
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *requestLog {
	x, _ := ctx.Value(exchangeKey{}).(*requestLog)
	return x
}

// serve answers a call under /api.
func (d *door) serve(w http.ResponseWriter, r *http.Request) {
	x := &requestLog{door: d, w: w, id: requestID(r), start: d.Now()}
	ctx, span := d.Trace.Request(r, x.start)
	span.RequestID(x.id)
	x.span = span
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, x), callTimeout)
	defer cancel()
	x.r = r.WithContext(ctx)
	x.caller.requestLog = x
	h := w.Header()
	h.Set("X-Request-Id", x.id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")

	defer func() {
		for _, f := range x.after {
			f()
		}
	}()
	if d.cors(x) {
		d.route(x)
	}
	x.finish()
}

// route runs the call. A panic is an internal error of this call alone.
func (d *door) route(x *requestLog) {
	defer func() {
		p := recover()
		switch {
		case isAbort(p):
			panic(p)
		case p != nil:
			d.Log.ErrorContext(x.r.Context(), "a call panicked", "request_id", x.id, "method", x.r.Method,
				"path", x.r.URL.Path, "user", x.caller.User, "panic", p, "stack", string(debug.Stack()))
			x.fail(newProblem(chat.AsError(errPanic), ""))
		}
	}()
	if _, pattern := d.mux.Handler(x.r); pattern != "" {
		x.span.Route(pattern)
		d.mux.ServeHTTP(x, x.r)
		return
	}
	d.noRoute(x)
}

// noRoute says in our own words what the mux says in plain text: there is nothing
// here, or nothing for this method.
func (d *door) noRoute(x *requestLog) {
	d.mux.ServeHTTP(x, x.r)
	p := newProblem(chat.Errorf(chat.NotFound, "There is nothing at this address; "+docsPath+" lists what there is."), "")
	if x.status == http.StatusMethodNotAllowed {
		p = newProblem(chat.Errorf(chat.BadRequest, "This address takes "+x.w.Header().Get("Allow")+" only."), "")
		p.setStatus(http.StatusMethodNotAllowed)
	}
	x.fail(p)
}

// cors lets the configured origins' pages read the answer, an error as well. It
// reports whether there is a call to run: a preflight is answered here.
func (d *door) cors(x *requestLog) bool {
	h := x.w.Header()
	origin := x.r.Header.Get("Origin")
	allowed := origin != "" && d.corsAllowed(origin)
	if len(d.origins) > 0 {
		h.Add("Vary", "Origin")
	}
	if allowed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
		h.Set("Access-Control-Expose-Headers", "X-Request-Id, X-Process-Time, Retry-After")
	}
	if x.r.Method != http.MethodOptions || x.r.Header.Get("Access-Control-Request-Method") == "" {
		return true
	}
	if !allowed {
		x.fail(newProblem(auth.ErrOrigin, ""))
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	x.WriteHeader(http.StatusNoContent)
	return false
}

func (d *door) corsAllowed(origin string) bool {
	o, err := auth.ParseOrigin(origin)
	return err == nil && d.origins[o]
}

// requestID is the caller's own when it is harmless, so that a proxy's log and
// ours can be laid side by side.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if chat.UserID(id).Valid() { // the same harmless alphabet and length
		return id
	}
	return chat.NewID().String()
}

// Header implements [http.ResponseWriter].
func (x *requestLog) Header() http.Header { return x.w.Header() }

// WriteHeader implements [http.ResponseWriter]; the first status counts.
func (x *requestLog) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
}

func (x *requestLog) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	return x.body.Write(b)
}

// Unwrap is how the deadline for reading the body finds the connection.
func (x *requestLog) Unwrap() http.ResponseWriter { return x.w }

// fail answers with a problem whatever had been answered so far.
func (x *requestLog) fail(p *Problem) {
	x.status = 0
	x.body.Reset()
	h := x.w.Header()
	h.Del("Set-Cookie")
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
	h.Set("Content-Type", problemType)
	x.WriteHeader(p.Status)
	if err := marshal(x, p); err != nil {
		x.door.Log.ErrorContext(x.r.Context(), "encode a problem", "request_id", x.id, "error", err)
	}
}

// finish sends the answer.
func (x *requestLog) finish() {
	h := x.w.Header()
	x.WriteHeader(http.StatusOK)
	if x.door.OldPage && x.r.Method == http.MethodDelete && x.status == http.StatusNoContent {
		// The old page reads JSON from every success.
		x.status = http.StatusOK
		h.Set("Content-Type", "application/json")
		x.body.WriteString("{}")
	}
	h.Set("X-Process-Time", strconv.FormatFloat(x.door.Now().Sub(x.start).Seconds(), 'f', 6, 64))
	if x.status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(x.body.Len()))
	}
	x.w.WriteHeader(x.status)
	if x.status != http.StatusNoContent {
		_, _ = x.w.Write(x.body.Bytes())
	}
	x.span.Answered(x.status)
	if len(x.after) > 0 {
		_ = http.NewResponseController(x.w).Flush()
	}
}

// recoverBare is for what answers by itself: it can only be answered for when it
// has not begun.
func (d *door) recoverBare(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if isAbort(p) {
		panic(p)
	}
	id := requestID(r)
	d.Log.ErrorContext(r.Context(), "a handler panicked", "request_id", id, "method", r.Method,
		"path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	w.Header().Set("X-Request-Id", id)
	problem := newProblem(chat.AsError(errPanic), "")
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(problem.Status)
	_ = marshal(w, problem)
}

// isAbort recognises net/http's own sentinel, which is passed on as it came.
func isAbort(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}
