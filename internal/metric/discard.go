package metric

import "github.com/prometheus/client_golang/prometheus"

// Counters, Gauges and Histograms are metrics with labels.
type (
	// Counters are counters with labels.
	Counters interface {
		WithLabelValues(values ...string) prometheus.Counter
	}
	// Gauges are gauges with labels.
	Gauges interface {
		WithLabelValues(values ...string) prometheus.Gauge
	}
	// Histograms are histograms with labels.
	Histograms interface {
		WithLabelValues(values ...string) prometheus.Observer
	}
)

// Discard returns metrics that count nothing. Benchmarks measure the cost of counting
// against them.
func Discard() *Metrics { return build(true) }

type (
	noCounter    struct{ prometheus.Counter }
	noGauge      struct{ prometheus.Gauge }
	noHistogram  struct{ prometheus.Histogram }
	noCounters   struct{}
	noGauges     struct{}
	noHistograms struct{}
)

func (noCounter) Inc()              {}
func (noCounter) Add(float64)       {}
func (noGauge) Set(float64)         {}
func (noGauge) Inc()                {}
func (noGauge) Dec()                {}
func (noGauge) Add(float64)         {}
func (noGauge) Sub(float64)         {}
func (noHistogram) Observe(float64) {}

func (noCounters) WithLabelValues(...string) prometheus.Counter    { return noCounter{} }
func (noGauges) WithLabelValues(...string) prometheus.Gauge        { return noGauge{} }
func (noHistograms) WithLabelValues(...string) prometheus.Observer { return noHistogram{} }
