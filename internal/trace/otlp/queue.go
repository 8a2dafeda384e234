package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/chowk-chat/chowk/internal/metric"
)

// queue counts what goes into the SDK's batches and what comes out, which the SDK
// does not tell: so it is known what is dropped.
type queue struct {
	sdk.SpanProcessor // batches
	metrics           *metric.Trace
	log               *slog.Logger
	wire              sdk.SpanExporter
	ctx               context.Context //nolint:containedctx // ends when the last batch is given up
	waiting           atomic.Int64
	failing           atomic.Bool
}

// OnEnd takes a span that has ended, or drops it when too many wait. It never waits.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > queueSpans {
		q.waiting.Add(-1)
		q.metrics.Dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// exporter is what the batches are handed to.
type exporter struct{ *queue }

// ExportSpans sends a batch. It says in the log when sending begins to fail and when
// it works again, and never returns an error: whoever asks has no use for one.
func (e exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.waiting.Add(-int64(len(spans)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	began := time.Now()
	if err := e.wire.ExportSpans(ctx, spans); err != nil {
		e.metrics.Failed.Add(float64(len(spans)))
		if !e.failing.Swap(true) {
			e.log.Warn("traces cannot be sent; they are lost until the collector answers", "spans", len(spans), "took", time.Since(began).Round(time.Millisecond), "err", err)
		}
		return nil
	}
	e.metrics.Sent.Add(float64(len(spans)))
	if e.failing.Swap(false) {
		e.log.Info("traces are sent again")
	}
	return nil
}

// Shutdown ends the connection to the collector.
func (e exporter) Shutdown(ctx context.Context) error { return e.wire.Shutdown(ctx) }
