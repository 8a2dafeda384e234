package metric

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// slowEvent is from when an event's connection is remembered with its duration, as
// an exemplar by which the log can be searched. Those below are not worth it.
const slowEvent = 100 * time.Millisecond

// Answered counts an event and how long it took.
func (g *Gateway) Answered(event, result string, took time.Duration, connection fmt.Stringer) {
	g.Events.WithLabelValues(event, result).Inc()
	duration := g.Duration.WithLabelValues(event)
	if slow, ok := duration.(prometheus.ExemplarObserver); ok && took >= slowEvent {
		slow.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"connection": connection.String()})
		return
	}
	duration.Observe(took.Seconds())
}
