package metric

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowEvent is from when an event's connection is remembered with its duration, as
// an exemplar by which the log can be searched. Those below are not worth it, unless
// they are traced.
const slowEvent = 100 * time.Millisecond

// Answered counts an event and how long it took. trace is the id of its trace, ""
// for none.
func (g *Gateway) Answered(event, result string, took time.Duration, connection fmt.Stringer, trace string) {
	g.Events.WithLabelValues(event, result).Inc()
	duration := g.Duration.WithLabelValues(event)
	if o, ok := duration.(prometheus.ExemplarObserver); ok && (took >= slowEvent || trace != "") {
		labels := prometheus.Labels{"connection": connection.String()}
		if trace != "" {
			labels["trace_id"] = trace
		}
		o.ObserveWithExemplar(took.Seconds(), labels)
		return
	}
	duration.Observe(took.Seconds())
}
