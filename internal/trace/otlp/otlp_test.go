package otlp_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	model "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/trace/otlp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func value(t *testing.T, c prometheus.Counter) int {
	t.Helper()
	var m model.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

// The queue is bounded, every span is counted, and Close returns when its context ends,
// with no goroutine left.
func TestHangingCollectorDelaysNothing(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts connections, no one reads
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	counters := metric.New().Trace
	e, err := otlp.Start(t.Context(), otlp.Options{
		Endpoint: "http://" + hanging.Addr().String(), Ratio: 1, Version: "test", Node: "test", Metrics: counters,
	})
	if err != nil {
		t.Fatal(err)
	}
	const spans = 20_000
	for range spans {
		_, span := e.Tracer.Command(t.Context(), "typing", time.Now(), chat.NewID())
		span.Result(nil)
	}
	if n := value(t, counters.Dropped); n < spans/2 {
		t.Errorf("%d of %d spans were dropped, want at least half", n, spans)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("Close returns %v, want %v", err, context.Canceled)
	}
	dropped, failed := value(t, counters.Dropped), value(t, counters.Failed)
	if dropped+failed != spans {
		t.Errorf("%d dropped and %d failed spans, want %d together", dropped, failed, spans)
	}
}

func TestInvalidEnvironmentIsAnError(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "not a pair")
	o := otlp.Options{Endpoint: "http://127.0.0.1:1", Metrics: metric.New().Trace}
	if _, err := otlp.Start(t.Context(), o); err == nil {
		t.Error("Start returns no error")
	}
}
