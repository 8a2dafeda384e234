package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/auth"
)

const problemType = "application/problem+json"

var errPanic = errors.New("panic")

// errSlow is for a call that ran out of time. The outcome of a change is unknown.
var errSlow = &chat.Error{
	Code: chat.Unavailable, RetryAfter: time.Second,
	Message: "The server took too long, so it is not known whether this was stored. Send it again with the " +
		"same client_id.",
}

// errNotMember is the text of the old REST API where sockets have chat.TextAccessDenied.
var errNotMember = chat.Errorf(chat.Forbidden, "Not a member of this channel")

// Problem is an error response (RFC 9457). It never contains what the caller sent, or
// the text of a driver.
type Problem struct {
	Type   string          `json:"type" enum:"about:blank"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail" doc:"What was wrong, for people"`
	Code   chat.Code       `json:"code" doc:"What was wrong, for programs"`
	Errors []ProblemDetail `json:"errors,omitempty"`

	retryAfter time.Duration
}

// ProblemDetail describes one invalid field.
type ProblemDetail struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" doc:"Where it was: body.name, query.limit, path.id"`
}

// newProblem returns the problem for e. in is the location of its field: body, query or
// path.
func newProblem(e *chat.Error, in string) *Problem {
	p := &Problem{Type: "about:blank", Detail: e.Message, Code: e.Code, retryAfter: e.RetryAfter}
	p.setStatus(e.Code.HTTPStatus())
	if e.Field != "" && in != "" {
		p.Errors = []ProblemDetail{{Message: e.Message, Location: in + "." + e.Field}}
	}
	return p
}

func (p *Problem) setStatus(status int) {
	p.Status, p.Title = status, http.StatusText(status)
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements [huma.HeadersError].
func (p *Problem) GetHeaders() http.Header {
	h := make(http.Header)
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", auth.Challenge)
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	return h
}

// ContentType implements [huma.ContentTypeFilter].
func (p *Problem) ContentType(string) string { return problemType }

// problem returns the response for err. Details that the caller must not see go to the
// log, under the request's id.
func (x *exchange) problem(err error, op *huma.Operation) *Problem {
	var known *chat.Error
	ctx := x.r.Context()
	if !errors.As(err, &known) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		x.handler.Log.WarnContext(ctx, "a call was not finished", "request_id", x.id, "operation", op.OperationID, "err", err)
		return newProblem(errSlow, "")
	}
	e := chat.AsError(err)
	if errors.Is(err, chat.ErrAccessDenied) {
		e = errNotMember
	}
	if e.Code == chat.Internal {
		x.handler.Log.ErrorContext(ctx, "call failed", "request_id", x.id, "operation", op.OperationID,
			"user", x.caller.User, "err", err)
	}
	return newProblem(e, fieldPlace(op, e.Field))
}

// fieldPlace returns the location of a field in a call.
func fieldPlace(op *huma.Operation, field string) string {
	for _, p := range op.Parameters {
		if p.Name == field {
			return p.In
		}
	}
	return "body"
}

// speakProblems makes huma respond with Problems. Its two hooks are global.
var speakProblems = sync.OnceFunc(func() {
	huma.DefaultArrayNullable = false // nil slices are encoded as []
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return refusal(status, message, errs)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := refusal(status, message, errs)
		if x := exchangeOf(ctx.Context()); x != nil {
			if p.Code == chat.Internal {
				x.handler.Log.ErrorContext(ctx.Context(), "read a call", "request_id", x.id,
					"operation", ctx.Operation().OperationID, "reason", message, "err", errors.Join(errs...))
			}
			for name, values := range p.GetHeaders() {
				x.w.Header()[name] = values
			}
		}
		return p
	}
})

// refusal returns the problem for an error of huma, without the invalid value.
func refusal(status int, message string, errs []error) *Problem {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return newProblem(chat.Errorf(chat.TooLarge, "The request is too large: at most 65536 bytes are accepted"), "")
	case http.StatusRequestTimeout:
		p := newProblem(chat.Errorf(chat.BadRequest, "The body of the request did not arrive in time"), "")
		p.setStatus(http.StatusRequestTimeout)
		return p
	case http.StatusBadRequest:
		return newProblem(chat.Errorf(chat.BadJSON, "The request needs a body with a JSON object"), "")
	case http.StatusUnprocessableEntity:
	default:
		return newProblem(chat.AsError(errors.New(message)), "")
	}
	p := newProblem(chat.Errorf(chat.BadRequest, "The request is not valid"), "")
	for _, err := range errs {
		var detail *huma.ErrorDetail
		if !errors.As(err, &detail) {
			continue
		}
		if detail.Message == chat.TextBadJSON {
			return newProblem(chat.Errorf(chat.BadJSON, chat.TextBadJSON), "")
		}
		p.Errors = append(p.Errors, describe(detail))
	}
	if len(p.Errors) > 0 {
		first := p.Errors[0]
		p.Detail = first.Message
		if _, field, ok := strings.Cut(first.Location, "."); ok && !strings.HasPrefix(first.Message, field) {
			p.Detail = field + ": " + first.Message
		}
	}
	return p
}

// describe returns the detail without the part after a colon in huma's texts, which may
// quote what was sent.
func describe(d *huma.ErrorDetail) ProblemDetail {
	if d.Location == "body" { // the text of our own decoder: FIELD must be …
		field, _, _ := strings.Cut(d.Message, " must be ")
		return ProblemDetail{Message: d.Message, Location: "body." + field}
	}
	message := d.Message
	if own, ok := strings.CutPrefix(message, "invalid value: "); ok {
		message = own // the text of our id types
	} else {
		message, _, _ = strings.Cut(message, ":")
	}
	return ProblemDetail{Message: message, Location: d.Location}
}
