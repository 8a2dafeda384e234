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

func count(t *testing.T, c prometheus.Counter) int {
	t.Helper()
	var m model.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

// TestASilentCollectorKeepsNobodyWaiting: what waits is bounded, every span is
// accounted for, and Close is over when its time is, with all that it started.
func TestASilentCollectorKeepsNobodyWaiting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	numbers := metric.New().Trace
	e, err := otlp.Start(t.Context(), otlp.Options{Endpoint: "http://" + silent.Addr().String(), Ratio: 1, Version: "test", Node: "test", Metrics: numbers})
	if err != nil {
		t.Fatal(err)
	}
	const made = 20_000
	for range made {
		_, span := e.Tracer.Event(t.Context(), "typing", time.Now(), chat.NewID())
		span.Result(nil)
	}
	if n := count(t, numbers.Dropped); n < made/2 {
		t.Errorf("%d were dropped", n)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if count(t, numbers.Dropped)+count(t, numbers.Failed) != made {
		t.Errorf("of %d spans %d were dropped, %d failed and %d were sent", made, count(t, numbers.Dropped), count(t, numbers.Failed), count(t, numbers.Sent))
	}
}

func TestAnEnvironmentThatCannotBeReadIsAnError(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pair")
	if _, err := otlp.Start(t.Context(), otlp.Options{Endpoint: "http://127.0.0.1:1", Metrics: metric.New().Trace}); err == nil {
		t.Error("no error")
	}
}
