// Package otlp records the spans of a trace.Tracer and sends them to a collector, with
// OTLP over HTTP. Recorded spans wait in a bounded queue; when it is full, spans are
// dropped and counted. So a collector that is slow, hangs or is missing delays nothing.
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

// Options configure an Exporter. Endpoint, Ratio and Metrics must be set.
type Options struct {
	// Endpoint is the collector's URL, such as http://host:4318. /v1/traces is appended
	// if it has no path.
	Endpoint string
	// Ratio is the fraction of commands and requests that are traced, from 0 (only what
	// callers trace) to 1.
	Ratio float64
	// Version and Node are the resource's service.version and service.instance.id.
	Version, Node string
	Metrics       *metric.Trace
	Log           *slog.Logger // discarded when nil
}

// Bounds on the queue. A span takes about a kilobyte.
const (
	maxQueue     = 4096             // spans
	maxBatch     = 512              // spans
	batchDelay   = 2 * time.Second  // until a batch that is not full is sent
	sendTimeout  = 10 * time.Second // of one batch, with all attempts
	abortTimeout = time.Second      // until a batch that is being sent is given up
	maxAttribute = 256              // bytes
	maxLinks     = 512              // of a group
)

// Exporter records spans and sends them. Create one with Start; Close stops it.
type Exporter struct {
	// Tracer starts the spans.
	Tracer *trace.Tracer

	provider *sdk.TracerProvider
	abort    context.CancelFunc
}

// Start returns an Exporter that is recording. The collector need not be reachable.
// OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME add to the resource's attributes;
// OTEL_EXPORTER_OTLP_HEADERS holds headers for the collector.
func Start(ctx context.Context, o Options) (*Exporter, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	res, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "chowk"),
		attribute.String("service.version", o.Version),
		attribute.String("service.instance.id", o.Node),
	), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("describe this process for traces: %w", err)
	}
	endpoint, err := withPath(o.Endpoint)
	if err != nil {
		return nil, err
	}
	sender, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(endpoint),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithTimeout(sendTimeout/2))
	if err != nil {
		return nil, fmt.Errorf("create the exporter of traces: %w", err)
	}
	q, abort := newQueue(o, sender)
	provider := sdk.NewTracerProvider(
		sdk.WithSampler(sdk.AlwaysSample()), // package trace has chosen before it starts a span
		sdk.WithResource(res),
		sdk.WithSpanProcessor(q),
		sdk.WithRawSpanLimits(sdk.SpanLimits{
			AttributeValueLengthLimit: maxAttribute, AttributeCountLimit: 64,
			EventCountLimit: 16, AttributePerEventCountLimit: 16,
			LinkCountLimit: maxLinks, AttributePerLinkCountLimit: 16,
		}))
	tracer := provider.Tracer("github.com/chowk-chat/chowk", api.WithInstrumentationVersion(o.Version))
	return &Exporter{Tracer: trace.New(tracer, o.Ratio), provider: provider, abort: abort}, nil
}

func withPath(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", fmt.Errorf("parse the collector's URL: %w", err)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Close sends the recorded spans until ctx ends, and drops the rest.
func (e *Exporter) Close(ctx context.Context) error {
	// Shutdown does nothing if its context has ended, and leaks its goroutine if the
	// context ends meanwhile. So its context ends a moment after ctx, and what it sends
	// is aborted at once.
	ending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		e.abort()
		time.AfterFunc(abortTimeout, cancel)
	})()
	err := e.provider.Shutdown(ending)
	e.abort()
	if err = cmp.Or(err, ctx.Err()); err != nil {
		return fmt.Errorf("send the last traces: %w", err)
	}
	return nil
}
