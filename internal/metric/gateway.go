package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
)

// slowEvent is from when an event's connection is remembered with its duration, as
// an exemplar by which the log can be searched. Those below are not worth it, unless
// they are traced.
const slowEvent = 100 * time.Millisecond

// answered are the instruments of one kind of event that goes well.
type answered struct {
	ok       prometheus.Counter
	duration prometheus.Observer
	slow     prometheus.ExemplarObserver // nil when there is none
}

// of finds them. To find them by their labels each time costs as much as to count.
func (g *Gateway) of(event string) *answered {
	if known, ok := g.known.Load(event); ok {
		return known.(*answered) //nolint:forcetypeassert // nothing else is put there
	}
	a := &answered{ok: g.Events.WithLabelValues(event, "ok"), duration: g.Duration.WithLabelValues(event)}
	a.slow, _ = a.duration.(prometheus.ExemplarObserver)
	known, _ := g.known.LoadOrStore(event, a)
	return known.(*answered) //nolint:forcetypeassert // as above
}

// Answered counts an event and how long it took. Events are a closed set. trace is
// the id of its trace, "" for none.
func (g *Gateway) Answered(event, result string, took time.Duration, connection chat.ID, trace string) {
	a := g.of(event)
	if result == "ok" {
		a.ok.Inc()
	} else {
		g.Events.WithLabelValues(event, result).Inc()
	}
	if a.slow != nil && (took >= slowEvent || trace != "") {
		labels := prometheus.Labels{"connection": connection.String()}
		if trace != "" {
			labels["trace_id"] = trace
		}
		a.slow.ObserveWithExemplar(took.Seconds(), labels)
		return
	}
	a.duration.Observe(took.Seconds())
}
