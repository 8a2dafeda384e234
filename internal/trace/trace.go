// Package trace has every span that chowk makes, in one place, as metric has every
// number: which events are traced, what their spans are called and what is written
// on them. It speaks OpenTelemetry's API only; what records spans and sends them is
// in trace/otlp, and nothing here is global.
//
// A nil *Tracer traces nothing and costs a comparison. An event that is not chosen
// costs a random number and allocates nothing. What people write, their ids and
// their credentials are never on a span: ids of channels and connections are, by
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

// askedPerSecond is how many requests a second are traced because their callers ask
// for it. Anybody can ask: beyond that, chance decides.
const askedPerSecond = 100

// Tracer chooses what is traced and begins its spans. Make one with New; nil traces
// nothing.
type Tracer struct {
	tracer trace.Tracer
	ratio  float64
	asked  *ratelimit.Limiter
}

// New traces one event in 1/ratio with t, which must record whatever it is asked
// to.
func New(t trace.Tracer, ratio float64) *Tracer {
	asked := ratelimit.New(ratelimit.PerSecond(askedPerSecond, askedPerSecond), nil)
	return &Tracer{tracer: t, ratio: ratio, asked: asked}
}

func (t *Tracer) chosen() bool { return rand.Float64() < t.ratio }

// Traces reports whether what is done under ctx is traced.
func (t *Tracer) Traces(ctx context.Context) bool {
	return t != nil && trace.SpanContextFromContext(ctx).IsSampled()
}

// Span is a piece of work that is traced, or with nothing inside one that is not:
// then its methods do nothing.
type Span struct{ span trace.Span }

// On reports whether there is one.
func (s Span) On() bool { return s.span != nil }

// ID is the trace that it is a part of, in hexadecimal, "" for none.
func (s Span) ID() string {
	if s.span == nil {
		return ""
	}
	return s.span.SpanContext().TraceID().String()
}

// End ends it, at most once.
func (s Span) End() {
	if s.span != nil {
		s.span.End()
	}
}

// Result says how it ended, nil being well, and ends it.
func (s Span) Result(err error) {
	if s.span == nil {
		return
	}
	if err == nil {
		s.span.SetAttributes(attribute.String("chowk.result", "ok"))
	} else {
		failed(s.span, chat.AsError(err).Code)
	}
	s.span.End()
}

// failed writes down a refusal by its code; its text is for whoever asked. Only
// what is the server's fault is an error of the span, as with HTTP's status codes.
func failed(s trace.Span, code chat.Code) {
	s.SetAttributes(attribute.String("chowk.result", string(code)), attribute.String("error.type", string(code)))
	switch code {
	case chat.Internal, chat.Unavailable, chat.Overloaded:
		s.SetStatus(codes.Error, string(code))
	}
}

func channelID(id chat.ID) attribute.KeyValue {
	return attribute.String("chowk.channel.id", id.String())
}
