package trace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/chowk-chat/chowk/chat"
)

// Change is a traced change on its way through the journal. It is nil for a change
// that is not traced; the methods of nil, except FanOut, do nothing.
type Change struct {
	tracer  *Tracer
	command trace.Span // the parent of what follows
	queued  trace.Span // until its worker starts its group
	group   trace.Span // from then until the group is committed
}

// Queued starts to trace a change, if work under ctx is traced.
func (t *Tracer) Queued(ctx context.Context, channel chat.ID) *Change {
	if !t.Traces(ctx) {
		return nil
	}
	c := &Change{tracer: t, command: trace.SpanFromContext(ctx)}
	c.command.SetAttributes(channelID(channel))
	c.queued = c.child("journal queue", channelID(channel))
	return c
}

func (c *Change) child(name string, attrs ...attribute.KeyValue) trace.Span {
	ctx := trace.ContextWithSpan(context.Background(), c.command)
	_, span := c.tracer.tracer.Start(ctx, name, trace.WithAttributes(attrs...))
	return span
}

// Refused records that the change never reached a group: it was refused, or its sender
// stopped waiting.
func (c *Change) Refused(err error) {
	if c != nil && c.group == nil {
		Span{c.queued}.Result(err)
	}
}

// Group starts the span of a commit of size changes, if any of them is traced. The span
// belongs to the trace of the first traced change, so that one trace shows everything,
// and is linked with each of them in both directions.
func (t *Tracer) Group(ctx context.Context, name string, size int, traced []*Change) (context.Context, Span) {
	if t == nil || len(traced) == 0 {
		return ctx, Span{}
	}
	links := make([]trace.Link, len(traced))
	for i, c := range traced {
		c.queued.End()
		links[i] = trace.Link{SpanContext: c.command.SpanContext()}
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpanContext(ctx, links[0].SpanContext), name,
		trace.WithLinks(links...),
		trace.WithAttributes(
			attribute.Int("chowk.group.size", size),
			attribute.Int("chowk.group.traced", len(traced)),
		))
	for _, c := range traced {
		c.group = c.child("journal commit")
		c.group.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return ctx, Span{span}
}

// Committed records the outcome of the change.
func (c *Change) Committed(err error) {
	if c != nil {
		Span{c.group}.Result(err)
	}
}

// FanOut starts the span of the fan-out of an entry that the change has become.
func (c *Change) FanOut(channel chat.ID, seq chat.Seq) Span {
	attr := attribute.Int64("chowk.seq", seq)
	c.command.SetAttributes(attr)
	return Span{c.child("hub fan-out", channelID(channel), attr)}
}

// Delivered ends the span of a fan-out: the entry was written to so many sockets, and
// so many are behind and receive it as they drain.
func (s Span) Delivered(written, behind int) {
	if s.span != nil {
		s.span.SetAttributes(
			attribute.Int("chowk.listeners.written", written),
			attribute.Int("chowk.listeners.behind", behind),
		)
		s.span.End()
	}
}
