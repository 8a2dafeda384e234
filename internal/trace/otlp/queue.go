package otlp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/chowk-chat/chowk/internal/metric"
)

// queue counts the spans in the SDK's batches, which the SDK does not report, so that
// dropped spans are known.
type queue struct {
	sdk.SpanProcessor // of batches
	metrics           *metric.Trace
	log               *slog.Logger
	sender            sdk.SpanExporter
	ctx               context.Context //nolint:containedctx // ends when the last batch is given up
	waiting           atomic.Int64
	failing           atomic.Bool
}

// newQueue returns a queue that sends with sender until abort is called.
func newQueue(o Options, sender sdk.SpanExporter) (q *queue, abort context.CancelFunc) {
	q = &queue{metrics: o.Metrics, log: o.Log, sender: sender}
	q.ctx, abort = context.WithCancel(context.Background())
	q.SpanProcessor = sdk.NewBatchSpanProcessor(exporter{q},
		sdk.WithMaxQueueSize(maxQueue), sdk.WithMaxExportBatchSize(maxBatch),
		sdk.WithBatchTimeout(batchDelay), sdk.WithExportTimeout(sendTimeout))
	return q, abort
}

// OnEnd queues a span that has ended, or drops it if the queue is full. It never
// blocks.
func (q *queue) OnEnd(s sdk.ReadOnlySpan) {
	if q.waiting.Add(1) > maxQueue {
		q.waiting.Add(-1)
		q.metrics.Dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// exporter receives the SDK's batches.
type exporter struct{ *queue }

// ExportSpans sends a batch. It logs when sending starts to fail and when it works
// again, and returns no errors: the SDK would only print them.
func (e exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.waiting.Add(-int64(len(spans)))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	start := time.Now()
	if err := e.sender.ExportSpans(ctx, spans); err != nil {
		e.metrics.Failed.Add(float64(len(spans)))
		if !e.failing.Swap(true) {
			e.log.Warn("traces cannot be sent; they are lost until the collector answers",
				"spans", len(spans), "took", time.Since(start).Round(time.Millisecond), "err", err)
		}
		return nil
	}
	e.metrics.Sent.Add(float64(len(spans)))
	if e.failing.Swap(false) {
		e.log.Info("traces are sent again")
	}
	return nil
}

// Shutdown closes the connection to the collector.
func (e exporter) Shutdown(ctx context.Context) error { return e.sender.Shutdown(ctx) }
