package metric

import "github.com/prometheus/client_golang/prometheus"

// Trace counts spans.
type Trace struct {
	Sent    prometheus.Counter
	Failed  prometheus.Counter // the collector did not accept them
	Dropped prometheus.Counter // the queue was full
}

func newTrace(b builder) *Trace {
	spans := b.counters("chowk_trace_spans_total",
		"Spans by outcome: sent, failed (the collector did not accept them), dropped (the queue was full).", "result")
	return &Trace{
		Sent:    spans.WithLabelValues("sent"),
		Failed:  spans.WithLabelValues("failed"),
		Dropped: spans.WithLabelValues("dropped"),
	}
}

// Observe counts v, with the id of its trace as an exemplar unless that is "".
func Observe(o prometheus.Observer, v float64, trace string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(v, prometheus.Labels{"trace_id": trace})
		return
	}
	o.Observe(v)
}
