package metric

import "github.com/prometheus/client_golang/prometheus"

// Relay counts what goes between this node and the others.
type Relay struct {
	Published     Counters // by kind
	Received      Counters // by kind
	Dropped       Counters // by why
	Ignored       Counters // by reason
	Healed        Counters // by what
	Lag           prometheus.Histogram
	Peers         prometheus.Gauge
	Subscriptions prometheus.Gauge
	Degraded      prometheus.Gauge
	RoundTrip     prometheus.Histogram
	HealSeconds   prometheus.Histogram
}

func newRelay(b builder) *Relay {
	r := &Relay{
		Published:     b.counters("chowk_relay_published_total", "Messages to other nodes by kind.", "kind"),
		Received:      b.counters("chowk_relay_received_total", "Messages from other nodes by kind.", "kind"),
		Dropped:       b.counters("chowk_relay_dropped_total", "Entries and messages between nodes that were lost here, and are read from the database instead, by reason: queue (more waited to be sent than may), link (it was down or too slow), slow (more came than could be taken).", "reason"),
		Ignored:       b.counters("chowk_relay_ignored_total", "Messages from other nodes that were ignored, by reason: version or kind (of a newer chowk), malformed, size.", "reason"),
		Healed:        b.counters("chowk_relay_reconciled_total", "What was found in the database because no other node had told of it, by kind: channels (that were further), memberships, revocations.", "kind"),
		Lag:           b.histogram("chowk_relay_lag_seconds", "Time from the commit of an entry on another node until it came here, by this node's clock.", latency),
		Peers:         b.gauge("chowk_relay_peers", "Other nodes that are heard and hear this one."),
		Subscriptions: b.gauge("chowk_relay_subscriptions", "Subjects to which this node is subscribed: one for each channel that somebody listens to here, and a few."),
		Degraded:      b.gauge("chowk_relay_degraded", "1 while not all comes from the other nodes that should, so that the database is asked every few seconds; 0 otherwise, and for a node alone."),
		RoundTrip:     b.histogram("chowk_relay_round_trip_seconds", "Time for a message to another node and back, without the time that it waited there.", latency),
		HealSeconds:   b.histogram("chowk_relay_reconcile_duration_seconds", "Duration of one look at the database for what no other node told of.", latency),
	}
	for c, values := range map[Counters][]string{
		r.Dropped: {"queue", "link", "slow"},
		r.Ignored: {"version", "kind", "malformed", "size"},
		r.Healed:  {"channels", "memberships", "revocations"},
	} {
		for _, v := range values {
			c.WithLabelValues(v) // there from the start: an alert sees the first one
		}
	}
	return r
}
