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

// Command starts the span of a command that arrived over a socket at start, if it is
// chosen. Each command is a trace of its own, so a socket keeps nothing for it; the
// connection's id shows which traces belong together.
func (t *Tracer) Command(
	ctx context.Context, command string, start time.Time, connection chat.ID,
) (context.Context, Span) {
	if t == nil || !t.chosen() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, command,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start),
		trace.WithAttributes(
			attribute.String("chowk.command", command),
			attribute.String("chowk.connection.id", connection.String()),
		))
	return ctx, Span{span}
}

// Ack starts the span of a command's answer.
func (t *Tracer) Ack(ctx context.Context) Span { return t.child(ctx, "ack") }

// Request starts the span of an HTTP request. If the request has a traceparent, the
// caller decides: a request that the caller traces becomes part of the caller's trace,
// any other is not traced. Without a traceparent, the request is traced if it is chosen.
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
		if _, ok := t.requested.Take(); !ok && !t.chosen() {
			return ctx, Span{}
		}
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	} else if !t.chosen() {
		return ctx, Span{}
	}
	ctx, span := t.tracer.Start(ctx, "HTTP",
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(start),
		trace.WithAttributes(
			attribute.String("http.request.method", method(r.Method)),
			attribute.String("url.scheme", scheme(r)),
			attribute.String("network.protocol.version", strings.TrimPrefix(r.Proto, "HTTP/")),
		))
	return ctx, Span{span}
}

// traceParent returns the span context in the W3C traceparent header. It ignores
// tracestate, which callers fill as they like.
func traceParent(r *http.Request) trace.SpanContext {
	if len(r.Header["Traceparent"]) != 1 {
		return trace.SpanContext{}
	}
	carrier := propagation.MapCarrier{"traceparent": r.Header["Traceparent"][0]}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}

// method returns m, or _OTHER for a method that the caller has made up.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
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

// Route names a request's span by a pattern of http.ServeMux with a method. The path
// of the request is never recorded.
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

// RequestID records the id of the request in the log.
func (s Span) RequestID(id string) {
	if s.span != nil {
		s.span.SetAttributes(attribute.String("chowk.request.id", id))
	}
}

// Connection records the id of the socket that the handshake under ctx opens.
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
