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
