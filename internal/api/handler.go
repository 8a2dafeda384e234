package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
)

// handler serves the requests of a Server.
type handler struct {
	*Server
	mux     *http.ServeMux
	sockets *http.ServeMux // nil without a socket endpoint
	api     huma.API
	origins map[string]bool
	writes  writes
}

func newHandler(s *Server) *handler {
	speakProblems()
	d := &handler{Server: s, mux: http.NewServeMux(), origins: make(map[string]bool), writes: newWrites(s.Now)}
	for _, origin := range s.CORSOrigins {
		if o, err := auth.ParseOrigin(origin); err == nil {
			d.origins[o] = true
		}
	}
	if s.Socket != nil {
		d.sockets = http.NewServeMux()
		d.sockets.Handle("GET "+prefix+"/ws", s.Socket)
		d.sockets.Handle("GET "+prefix+"/ws/{user_id}", s.Socket)
	}
	d.api = humago.New(trailingSlashMux{d.mux}, config())
	d.channelCalls()
	d.memberCalls()
	d.messageCalls()
	d.peopleCalls()
	d.accountCalls()
	d.adminCalls()
	d.documents()
	return d
}

// trailingSlashMux is a mux that serves a path ending in a slash both with and without
// the slash, and nothing below it. The old system redirected, which loses the body of
// a POST in some clients.
type trailingSlashMux struct{ *http.ServeMux }

// HandleFunc implements [humago.Mux].
func (m trailingSlashMux) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	if bare, ok := strings.CutSuffix(pattern, "/"); ok {
		m.ServeMux.HandleFunc(bare, f)
		pattern += "{$}"
	}
	m.ServeMux.HandleFunc(pattern, f)
}

// idText and timeText represent the ids and times of package chat in the schemas.
type idText string

// Schema implements [huma.SchemaProvider].
func (*idText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

type timeText string

// Schema implements [huma.SchemaProvider].
func (*timeText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
}

func config() huma.Config {
	schemas := newRegistry()
	format := huma.Format{Marshal: marshal, Unmarshal: unmarshal}
	c := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "chowk", Version: "1",
				Description: "Real-time messaging. Calls take the same path as commands over a socket (`GET /api/v1/ws`): the " +
					"same checks, the same commit, the same fan-out.",
			},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"bearer": {Type: "http", Scheme: "bearer"},
					"cookie": {Type: "apiKey", In: "cookie", Name: auth.CookieName},
				},
			},
			Tags: []*huma.Tag{
				{Name: tagChannels, Description: "Conversations and their members"},
				{Name: tagMessages, Description: "Messages, reactions and receipts"},
				{Name: tagPeople, Description: "Users and presence"},
				{Name: tagAccounts, Description: "Signing up, logging in and logging out"},
				{Name: tagAdmin, Description: "For administrators"},
			},
		},
		Formats:       map[string]huma.Format{"application/json": format, "json": format},
		DefaultFormat: "application/json",
	}
	// Unknown properties are ignored, so that newer clients work with older servers.
	c.AllowAdditionalPropertiesByDefault = true
	return c
}

func marshal(w io.Writer, v any) error {
	return json.MarshalWrite(w, v)
}

// unmarshal decodes a body. Its errors do not repeat what was sent.
func unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return errors.New(command.DecodeError(err, "The body").Message)
	}
	return nil
}

// call is one line of a table of calls.
type call struct {
	route   string // METHOD /path
	id      string
	summary string
	tag     string
	status  int  // of success, 200 if 0
	public  bool // needs no token
	hold    bool // the old page must get the response before its own frame
}

type answer[T any] struct{ Body T }

// add registers a call with a response body.
func add[I, O any](d *handler, c call, f func(context.Context, caller, *I) (O, error)) {
	op := d.operation(c)
	huma.Register(d.api, op, func(ctx context.Context, in *I) (*answer[O], error) {
		x := exchangeOf(ctx)
		out, err := f(ctx, x.caller, in)
		if err != nil {
			return nil, x.problem(err, d.described(c))
		}
		return &answer[O]{out}, nil
	})
}

// do registers a call without a response body: 204.
func do[I any](d *handler, c call, f func(context.Context, caller, *I) error) {
	c.status = http.StatusNoContent
	op := d.operation(c)
	huma.Register(d.api, op, func(ctx context.Context, in *I) (*struct{}, error) {
		x := exchangeOf(ctx)
		if err := f(ctx, x.caller, in); err != nil {
			return nil, x.problem(err, d.described(c))
		}
		return nil, nil //nolint:nilnil // for huma this means no body
	})
}

func (d *handler) operation(c call) huma.Operation {
	method, path, _ := strings.Cut(c.route, " ")
	op := huma.Operation{
		OperationID: c.id, Method: method, Path: prefix + path, Summary: c.summary, Tags: []string{c.tag},
		DefaultStatus: c.status, MaxBodyBytes: maxBody + 1,
		// Longer than a call may take: a read deadline that passes during the call would
		// look like a client that disconnected.
		BodyReadTimeout: 2 * callTimeout,
		// Package command checks the body, with the same texts for sockets and REST.
		SkipValidateBody: true,
		Middlewares:      huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) { d.admit(ctx, c, next) }},
	}
	if c.status == 0 {
		op.DefaultStatus = http.StatusOK
	}
	if !c.public {
		op.Security = []map[string][]string{{"bearer": {}}, {"cookie": {}}}
	}
	return op
}

// described returns the operation as completed by huma, with its parameters.
func (d *handler) described(c call) *huma.Operation {
	method, path, _ := strings.Cut(c.route, " ")
	item := d.api.OpenAPI().Paths[prefix+path]
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil && op.Method == method {
			return op
		}
	}
	return &huma.Operation{OperationID: c.id}
}

// admit runs a call if its request is authenticated, not forged, within the rate limit
// and JSON.
func (d *handler) admit(ctx huma.Context, c call, next func(huma.Context)) {
	r, _ := humago.Unwrap(ctx)
	x := exchangeOf(r.Context())
	if err := d.check(x, r, c); err != nil {
		x.fail(x.problem(err, ctx.Operation()))
		return
	}
	if ctx.Operation().RequestBody != nil && !isJSON(r.Header.Get("Content-Type")) {
		p := newProblem(chat.Errorf(chat.BadRequest, "The body must be application/json"), "")
		p.setStatus(http.StatusUnsupportedMediaType)
		x.fail(p)
		return
	}
	if c.hold && d.OldPage && d.DelayOwnEcho != nil {
		if channel, err := chat.ParseID(r.PathValue("id")); err == nil {
			x.after = append(x.after, d.DelayOwnEcho(x.caller.User, channel))
		}
	}
	next(ctx)
}

func (d *handler) check(x *exchange, r *http.Request, c call) error {
	if c.public {
		// Logging in a browser decides as whom it acts, so a page of another site must
		// not do it. Programs send no origin.
		if r.Header.Get("Origin") != "" {
			return d.forgery(r, auth.SourceCookie)
		}
		return nil
	}
	token, source := auth.TokenFrom(r)
	if source != auth.SourceHeader && source != auth.SourceCookie {
		return auth.ErrNotAuthenticated // other sources are for sockets, where browsers leave no choice
	}
	if token == "" {
		return auth.ErrBadToken
	}
	if err := d.forgery(r, source); err != nil {
		return err
	}
	identity, err := d.Auth.Authenticate(r.Context(), token)
	if err != nil {
		return err
	}
	x.caller.Identity, x.caller.Caller = identity, command.Caller{Actor: identity.Actor}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return d.writes.take(identity.User)
}

// forgery refuses a change that a page of another site may have caused (CSRF). Pages
// that may read responses with a user's credentials may also make changes with them.
func (d *handler) forgery(r *http.Request, source auth.Source) error {
	if origins := r.Header["Origin"]; len(origins) == 1 && d.corsAllowed(origins[0]) {
		return nil
	}
	return d.Door.CheckForgery(r, source)
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}
