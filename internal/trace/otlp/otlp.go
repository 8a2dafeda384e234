// Package otlp records the spans of a trace.Tracer and sends them to a collector, by
// OTLP over HTTP. What is recorded waits in a bounded queue: beyond it spans are
// dropped and counted, so that a collector that is slow, hangs or is not there keeps
// nobody waiting.
package otlp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"

	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Options say where spans go. Endpoint, Ratio and Metrics must be set.
type Options struct {
	// Endpoint is the collector's URL, http://host:4318; /v1/traces is added to one
	// without a path.
	Endpoint string
	// Ratio is which part of the events is traced, from 0 (only what callers ask
	// for) to 1.
	Ratio float64
	// Version and Node are the resource's service.version and service.instance.id.
	Version, Node string
	Metrics       *metric.Trace
	Log           *slog.Logger // discarded when nil
}

// Bounds on what waits. A span takes about a kilobyte.
const (
	queueSpans   = 4096
	batchSpans   = 512
	batchDelay   = 2 * time.Second
	sendTimeout  = 10 * time.Second // of one batch, repeated attempts included
	abortTime    = time.Second      // for what is being sent to notice that it is given up
	maxAttribute = 256              // bytes
	maxLinks     = 512              // a group's
)

// Exporter records spans and sends them. Make one with Start; Close ends it.
type Exporter struct {
	// Tracer begins the spans.
	Tracer *trace.Tracer

	provider *sdk.TracerProvider
	abort    context.CancelFunc
}

// Start begins to record. The collector need not be there. Attributes of the
// resource in OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME are added to ours, and
// headers for the collector are read from OTEL_EXPORTER_OTLP_HEADERS.
func Start(ctx context.Context, o Options) (*Exporter, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "chowk"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this process for traces: %w", err)
	}
	target, err := withPath(o.Endpoint)
	if err != nil {
		return nil, err
	}
	wire, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(target), otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithTimeout(sendTimeout/2))
	if err != nil {
		return nil, fmt.Errorf("prepare the sending of traces: %w", err)
	}
	q := &queue{metrics: o.Metrics, log: o.Log, wire: wire}
	var abort context.CancelFunc
	q.ctx, abort = context.WithCancel(context.Background())
	q.SpanProcessor = sdk.NewBatchSpanProcessor(exporter{q}, sdk.WithMaxQueueSize(queueSpans), sdk.WithMaxExportBatchSize(batchSpans),
		sdk.WithBatchTimeout(batchDelay), sdk.WithExportTimeout(sendTimeout))
	// What is traced is chosen before a span is made, so here everything is.
	provider := sdk.NewTracerProvider(sdk.WithSampler(sdk.AlwaysSample()), sdk.WithResource(about), sdk.WithSpanProcessor(q), sdk.WithRawSpanLimits(sdk.SpanLimits{
		AttributeValueLengthLimit: maxAttribute, AttributeCountLimit: 64, EventCountLimit: 16, LinkCountLimit: maxLinks,
		AttributePerEventCountLimit: 16, AttributePerLinkCountLimit: 16,
	}))
	tracer := provider.Tracer("github.com/chowk-chat/chowk", api.WithInstrumentationVersion(o.Version))
	return &Exporter{Tracer: trace.New(tracer, o.Ratio), provider: provider, abort: abort}, nil
}

func withPath(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("read the collector's URL: %w", err)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Close sends what has been recorded, until ctx ends; then it gives the rest up,
// which takes no time.
func (e *Exporter) Close(ctx context.Context) error {
	// The SDK does nothing at all when ctx is over already, and leaves its goroutine
	// behind when ctx ends: so it is given a moment more, and what it sends ends.
	ending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		e.abort()
		time.AfterFunc(abortTime, cancel)
	})()
	err := e.provider.Shutdown(ending)
	e.abort()
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
