// Package trace creates all spans, as package metric defines all metrics: which
// commands and requests are traced, and the names and attributes of their spans. It
// uses OpenTelemetry's API only; package otlp records spans and sends them. Nothing
// here is global.
//
// A nil *Tracer traces nothing and costs a comparison. A command that is not chosen
// costs a random number and allocates nothing. Spans never hold what people write,
// their ids or their credentials. They hold the ids of channels and connections, by
// which the log and the database can be searched.
package trace

import (
	"context"
	"math/rand/v2"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// maxRequestedPerSecond bounds how many requests per second are traced because their
// callers trace them. Anyone can send a traceparent: beyond this rate, the ratio
// decides.
const maxRequestedPerSecond = 100

// Tracer chooses what is traced and starts its spans. Create one with New; a nil
// Tracer traces nothing.
type Tracer struct {
	tracer    trace.Tracer
	ratio     float64
	requested *ratelimit.Limiter
}

// New returns a Tracer that traces the given ratio of commands and requests, from 0
// to 1. t must record every span that it starts.
func New(t trace.Tracer, ratio float64) *Tracer {
	requested := ratelimit.New(ratelimit.PerSecond(maxRequestedPerSecond, maxRequestedPerSecond), nil)
	return &Tracer{tracer: t, ratio: ratio, requested: requested}
}

func (t *Tracer) chosen() bool { return rand.Float64() < t.ratio }

// Traces reports whether work under ctx is traced.
func (t *Tracer) Traces(ctx context.Context) bool {
	return t != nil && trace.SpanContextFromContext(ctx).IsSampled()
}

// child starts a span under that of ctx, if there is one.
func (t *Tracer) child(ctx context.Context, name string) Span {
	if !t.Traces(ctx) {
		return Span{}
	}
	_, span := t.tracer.Start(ctx, name)
	return Span{span}
}

// Span is a traced piece of work. The methods of the zero Span, for work that is not
// traced, do nothing.
type Span struct{ span trace.Span }

// On reports whether the work is traced.
func (s Span) On() bool { return s.span != nil }

// ID returns the id of the span's trace in hexadecimal, "" if there is none.
func (s Span) ID() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends the span. Further calls do nothing.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Result ends the span with the result of the work.
func (s Span) Result(err error) {
	if s.span == nil {
		return
	}
	if err == nil {
		s.span.SetAttributes(attribute.String("chowk.result", "ok"))
	} else {
		setRefused(s.span, chat.AsError(err).Code)
	}
	s.span.End()
}

// setRefused records the code of a refusal; its text is for the user only. The span
// is an error only if the server is at fault, as with HTTP's status codes.
func setRefused(s trace.Span, code chat.Code) {
	s.SetAttributes(
		attribute.String("chowk.result", string(code)),
		attribute.String("error.type", string(code)),
	)
	switch code {
	case chat.Internal, chat.Unavailable, chat.Overloaded:
		s.SetStatus(codes.Error, string(code))
	}
}

func channelID(id chat.ID) attribute.KeyValue {
	return attribute.String("chowk.channel.id", id.String())
}
