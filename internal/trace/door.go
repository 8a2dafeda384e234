package trace

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/chowk-chat/chowk/chat"
)

// Event begins the span of an event that came over a socket at start, if it is
// chosen. The socket keeps nothing of it: each event is a trace of its own, and the
// connection's id tells which belong together.
func (t *Tracer) Event(ctx context.Context, verb string, start time.Time, connection chat.ID) (context.Context, Span) {
	if t == nil || !t.chosen() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, verb, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("chowk.verb", verb), attribute.String("chowk.connection.id", connection.String()),
	))
	return ctx, Span{span}
}

// Ack begins the span of the answer.
func (t *Tracer) Ack(ctx context.Context) Span { return t.child(ctx, "ack") }

// child begins a span under that of ctx, if there is one.
func (t *Tracer) child(ctx context.Context, name string) Span {
	if !t.Traces(ctx) {
		return Span{}
	}
	_, span := t.tracer.Start(ctx, name)
	return Span{span}
}

// Request begins the span of an HTTP request: if its traceparent says so, as a part
// of the caller's trace, and else if it is chosen. A caller who says that he does
// not trace is believed.
func (t *Tracer) Request(r *http.Request, start time.Time) (context.Context, Span) {
	ctx := r.Context()
	if t == nil {
		return ctx, Span{}
	}
	parent := traceParent(r)
	if parent.IsValid() {
		if !parent.IsSampled() {
			return ctx, Span{}
		}
		if _, ok := t.asked.Take(); !ok && !t.chosen() {
			return ctx, Span{}
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else if !t.chosen() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, "HTTP", trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("http.request.method", method(r.Method)), attribute.String("url.scheme", scheme(r)),
		attribute.String("network.protocol.version", strings.TrimPrefix(r.Proto, "HTTP/")),
	))
	return ctx, Span{span}
}

// traceParent reads the W3C header, but not tracestate: what callers write as they
// like is kept off spans.
func traceParent(r *http.Request) trace.SpanContext {
	if len(r.Header["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": r.Header["Traceparent"][0]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// method keeps what callers make up off spans.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "_OTHER"
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// Route names a request by a pattern of http.ServeMux with a method. Its path is
// never kept.
func (s Span) Route(pattern string) {
	if s.span == nil {
		return
	}
	name := strings.TrimSuffix(pattern, "{$}")
	s.span.SetName(name)
	if _, path, ok := strings.Cut(name, " "); ok {
		s.span.SetAttributes(attribute.String("http.route", path))
	}
}

// RequestID notes the id by which the log has the request.
func (s Span) RequestID(id string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("chowk.request.id", id))
	}
}

// Connection notes which socket is made by the handshake that ctx belongs to.
func Connection(ctx context.Context, id chat.ID) {
	if s := trace.SpanFromContext(ctx); s.IsRecording() {
		s.SetAttributes(attribute.String("chowk.connection.id", id.String()))
	}
}

// Answered ends a request's span.
func (s Span) Answered(status int) {
	if s.span == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= http.StatusInternalServerError {
		text := http.StatusText(status)
		s.span.SetStatus(codes.Error, text)
		s.span.SetAttributes(attribute.Int("error.type", status))
	}
	s.span.End()
}
