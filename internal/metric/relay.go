package metric

import "github.com/prometheus/client_golang/prometheus"

// Relay counts the messages between this node and the others.
type Relay struct {
	Published         Counters // by kind
	Received          Counters // by kind
	Dropped           Counters // by reason
	Ignored           Counters // by reason
	Reconciled        Counters // by kind
	Lag               prometheus.Histogram
	Peers             prometheus.Gauge
	Subscriptions     prometheus.Gauge
	Degraded          prometheus.Gauge
	RoundTrip         prometheus.Histogram
	ReconcileDuration prometheus.Histogram
}

func newRelay(b builder) *Relay {
	r := &Relay{
		Published: b.counters("chowk_relay_published_total", "Messages to other nodes by kind.", "kind"),
		Received:  b.counters("chowk_relay_received_total", "Messages from other nodes by kind.", "kind"),
		Dropped: b.counters("chowk_relay_dropped_total",
			"Entries and messages between nodes that were lost here and are read from the database instead, by reason: "+
				"queue (too many waited to be sent), link (it was down or too slow), "+
				"slow (more arrived than could be processed).", "reason"),
		Ignored: b.counters("chowk_relay_ignored_total",
			"Messages from other nodes that were ignored, by reason: version or kind (of a newer chowk), "+
				"malformed, size.", "reason"),
		Reconciled: b.counters("chowk_relay_reconciled_total",
			"What was found in the database because no other node had reported it, by kind: "+
				"channels (that had newer entries), memberships, revocations.", "kind"),
		Lag: b.histogram("chowk_relay_lag_seconds",
			"Time from the commit of an entry on another node until it arrived here, by this node's clock.", latency),
		Peers: b.gauge("chowk_relay_peers", "Other nodes that are connected with this one in both directions."),
		Subscriptions: b.gauge("chowk_relay_subscriptions",
			"Subjects that this node subscribes to: one for each channel with a listener here, and a few others."),
		Degraded: b.gauge("chowk_relay_degraded",
			"1 while messages from other nodes are missing, so that the database is polled every few seconds; "+
				"0 otherwise, and for a single node."),
		RoundTrip: b.histogram("chowk_relay_round_trip_seconds",
			"Time for a message to another node and back, without the time that it waited there.", latency),
		ReconcileDuration: b.histogram("chowk_relay_reconcile_duration_seconds",
			"Duration of one query of the database for what no other node reported.", latency),
	}
	expect(r.Dropped, "queue", "link", "slow")
	expect(r.Ignored, "version", "kind", "malformed", "size")
	expect(r.Reconciled, "channels", "memberships", "revocations")
	return r
}
