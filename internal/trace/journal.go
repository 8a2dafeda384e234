package trace

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/chowk-chat/chowk/chat"
)

// Change is a traced change on its way through the journal. It is nil for all
// others: then its methods do nothing.
type Change struct {
	tracer *Tracer
	event  trace.Span // of which everything is a part
	queued trace.Span // until the lane takes it up
	group  trace.Span // from then until its group is committed
}

// Queued begins to follow a change, if what is done under ctx is traced.
func (t *Tracer) Queued(ctx context.Context, channel chat.ID) *Change {
	if !t.Traces(ctx) {
		return nil
	}
	c := &Change{tracer: t, event: trace.SpanFromContext(ctx)}
	c.event.SetAttributes(channelID(channel))
	c.queued = c.part("journal queue", channelID(channel))
	return c
}

func (c *Change) part(name string, attrs ...attribute.KeyValue) trace.Span {
	_, span := c.tracer.tracer.Start(trace.ContextWithSpan(context.Background(), c.event), name, trace.WithAttributes(attrs...))
	return span
}

// GaveUp notes that the change was never taken up: it was refused, or its sender
// has waited long enough.
func (c *Change) GaveUp(err error) {
	if c != nil && c.group == nil {
		Span{c.queued}.Result(err)
	}
}

// Group begins the span of a commit of size changes, of which those in traced are
// followed; there is none when no change is. It is a part of the first one's trace,
// so that one picture shows everything, and linked with each of them, both ways.
func (t *Tracer) Group(ctx context.Context, name string, size int, traced []*Change) (context.Context, Span) {
	if t == nil || len(traced) == 0 {
		return ctx, Span{}
	}
	links := make([]trace.Link, len(traced))
	for i, c := range traced {
		c.queued.End()
		links[i] = trace.Link{SpanContext: c.event.SpanContext()}
	}
	ctx, span := t.tracer.Start(trace.ContextWithSpanContext(ctx, links[0].SpanContext), name, trace.WithLinks(links...), trace.WithAttributes(
		attribute.Int("chowk.group.size", size), attribute.Int("chowk.group.traced", len(traced)),
	))
	for _, c := range traced {
		c.group = c.part("journal commit")
		c.group.AddLink(trace.Link{SpanContext: span.SpanContext()})
	}
	return ctx, Span{span}
}

// Committed notes what became of the change.
func (c *Change) Committed(err error) {
	if c != nil {
		Span{c.group}.Result(err)
	}
}

// FanOut begins the span of telling those who listen here of an entry that the
// change has become.
func (c *Change) FanOut(channel chat.ID, seq chat.Seq) Span {
	at := attribute.Int64("chowk.seq", seq)
	c.event.SetAttributes(at)
	return Span{c.part("hub fan-out", channelID(channel), at)}
}

// Told ends the span of a fan-out: to how many sockets the entry was written, and
// how many take no more at this moment and are served as they drain.
func (s Span) Told(written, behind int) {
	if s.span != nil {
		s.span.SetAttributes(attribute.Int("chowk.listeners.written", written), attribute.Int("chowk.listeners.behind", behind))
		s.span.End()
	}
}
