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

// exchange is one request under /api and its response. It is the call's response
// writer, and buffers the response until it is complete: a panic halfway still gets a
// response, and the length is known.
type exchange struct {
	handler *handler
	w       http.ResponseWriter
	r       *http.Request
	id      string // of the request, as in the log and X-Request-Id
	start   time.Time
	span    trace.Span
	status  int
	body    bytes.Buffer
	caller  caller
	after   []func() // called after the response is sent
}

// caller is the user of a call. Public calls have no identity.
type caller struct {
	command.Caller
	Identity auth.Identity
	exchange *exchange
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// serve handles a request under /api.
func (d *handler) serve(w http.ResponseWriter, r *http.Request) {
	x := &exchange{handler: d, w: w, id: requestID(r), start: d.Now()}
	ctx, span := d.Trace.Request(r, x.start)
	span.RequestID(x.id)
	x.span = span
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, exchangeKey{}, x), callTimeout)
	defer cancel()
	x.r = r.WithContext(ctx)
	x.caller.exchange = x
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

// route runs the call. A panic becomes an internal error of this call.
func (d *handler) route(x *exchange) {
	defer func() {
		p := recover()
		switch {
		case isAbort(p):
			panic(p)
		case p != nil:
			d.Log.ErrorContext(x.r.Context(), "call panicked", "request_id", x.id, "method", x.r.Method,
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

// noRoute responds with a problem where the mux would respond in plain text: no such
// path, or no such method.
func (d *handler) noRoute(x *exchange) {
	d.mux.ServeHTTP(x, x.r)
	p := newProblem(chat.Errorf(chat.NotFound, "No such endpoint. See "+docsPath+"."), "")
	if x.status == http.StatusMethodNotAllowed {
		p = newProblem(chat.Errorf(chat.BadRequest, "Method not allowed. Use "+x.w.Header().Get("Allow")+"."), "")
		p.setStatus(http.StatusMethodNotAllowed)
	}
	x.fail(p)
}

// cors allows pages of the configured origins to read the response, including errors.
// It responds to a preflight itself, and reports whether there is a call to run.
func (d *handler) cors(x *exchange) bool {
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

func (d *handler) corsAllowed(origin string) bool {
	o, err := auth.ParseOrigin(origin)
	return err == nil && d.origins[o]
}

// requestID returns the client's own id if it is harmless, so that the logs of a proxy
// and of chowk can be matched.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if chat.UserID(id).Valid() { // the same harmless alphabet and length
		return id
	}
	return chat.NewID().String()
}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.w.Header() }

// WriteHeader implements [http.ResponseWriter]; the first status counts.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
}

func (x *exchange) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	return x.body.Write(b)
}

// Unwrap lets [http.ResponseController] set the deadline for reading the body.
func (x *exchange) Unwrap() http.ResponseWriter { return x.w }

// fail replaces the response with a problem.
func (x *exchange) fail(p *Problem) {
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
		x.handler.Log.ErrorContext(x.r.Context(), "encode a problem", "request_id", x.id, "error", err)
	}
}

// finish sends the response.
func (x *exchange) finish() {
	h := x.w.Header()
	x.WriteHeader(http.StatusOK)
	if x.handler.OldPage && x.r.Method == http.MethodDelete && x.status == http.StatusNoContent {
		// The old page parses every success as JSON.
		x.status = http.StatusOK
		h.Set("Content-Type", "application/json")
		x.body.WriteString("{}")
	}
	h.Set("X-Process-Time", strconv.FormatFloat(x.handler.Now().Sub(x.start).Seconds(), 'f', 6, 64))
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

// recoverBare handles a panic of a handler that writes its response itself. It can
// only respond if the handler has not started to.
func (d *handler) recoverBare(w http.ResponseWriter, r *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if isAbort(p) {
		panic(p)
	}
	id := requestID(r)
	d.Log.ErrorContext(r.Context(), "handler panicked", "request_id", id, "method", r.Method,
		"path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	w.Header().Set("X-Request-Id", id)
	problem := newProblem(chat.AsError(errPanic), "")
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(problem.Status)
	_ = marshal(w, problem)
}

// isAbort reports whether p is net/http's own sentinel, which is passed on.
func isAbort(p any) bool {
	err, ok := p.(error)
	return ok && errors.Is(err, http.ErrAbortHandler)
}
