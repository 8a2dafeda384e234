package metric

import "github.com/prometheus/client_golang/prometheus"

// Trace counts the spans of traces.
type Trace struct {
	Sent    prometheus.Counter
	Failed  prometheus.Counter // the collector did not take them
	Dropped prometheus.Counter // too many waited
}

func newTrace(b builder) *Trace {
	spans := b.counters("chowk_trace_spans_total", "Spans of traces by what became of them: sent, failed (the collector did not take them), dropped (too many waited).", "result")
	return &Trace{Sent: spans.WithLabelValues("sent"), Failed: spans.WithLabelValues("failed"), Dropped: spans.WithLabelValues("dropped")}
}

// Observe counts v, and when it is of a trace remembers which as an exemplar.
func Observe(o prometheus.Observer, v float64, trace string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && trace != "" {
		e.ObserveWithExemplar(v, prometheus.Labels{"trace_id": trace})
		return
	}
	o.Observe(v)
}
