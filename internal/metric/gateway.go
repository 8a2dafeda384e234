package metric

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
)

// Gateway counts sockets and the commands of their clients.
type Gateway struct {
	Sockets           prometheus.Gauge
	Handshakes        Counters // by result
	Commands          Counters // by command and result
	CommandDuration   Histograms
	Closed            Counters // by reason
	HandshakeDuration prometheus.Histogram
	Resumes           Counters // of channels, by result
	HeldWrites        *HeldWrites

	byCommand sync.Map // from a command's name to its *commandMetrics
}

func newGateway(b builder) *Gateway {
	g := &Gateway{
		Sockets:    b.gauge("chowk_sockets", "Open sockets."),
		Handshakes: b.counters("chowk_handshakes_total", "Socket handshakes by result.", "result"),
		Commands: b.counters("chowk_commands_total", "Commands from clients by type and result.",
			"command", "result"),
		CommandDuration: b.histograms("chowk_command_duration_seconds",
			"Time from a command's arrival to its answer.", latency, "command"),
		Closed: b.counters("chowk_sockets_closed_total", "Sockets closed by reason.", "reason"),
		HandshakeDuration: b.histogram("chowk_handshake_duration_seconds",
			"Time from a handshake's request to its answer.", latency),
		Resumes: b.counters("chowk_resumes_total",
			"Channels that reconnecting clients resumed, by result: ok, denied, or why the client must reload the "+
				"channel (epoch: the history has changed; ahead: the cursor is beyond the channel's head).", "result"),
		HeldWrites: newHeldWrites(b),
	}
	expect(g.Resumes, "ok", "denied", "epoch", "ahead")
	return g
}

// slowCommand is the duration from which a command's connection is recorded as an
// exemplar, by which the log can be searched. Faster commands are not worth the cost,
// unless they are traced.
const slowCommand = 100 * time.Millisecond

// commandMetrics are the metrics of successful commands of one name.
type commandMetrics struct {
	ok       prometheus.Counter
	duration prometheus.Observer
	exemplar prometheus.ExemplarObserver // nil if there is none
}

// of returns the metrics of a command. A lookup by labels costs as much as counting.
func (g *Gateway) of(command string) *commandMetrics {
	if known, ok := g.byCommand.Load(command); ok {
		return known.(*commandMetrics) //nolint:forcetypeassert // the map holds nothing else
	}
	m := &commandMetrics{
		ok:       g.Commands.WithLabelValues(command, "ok"),
		duration: g.CommandDuration.WithLabelValues(command),
	}
	m.exemplar, _ = m.duration.(prometheus.ExemplarObserver)
	known, _ := g.byCommand.LoadOrStore(command, m)
	return known.(*commandMetrics) //nolint:forcetypeassert // as above
}

// Answered counts a command and its duration. Names of commands must be a closed set.
// trace is the id of the command's trace, "" for none.
func (g *Gateway) Answered(command, result string, took time.Duration, connection chat.ID, trace string) {
	m := g.of(command)
	if result == "ok" {
		m.ok.Inc()
	} else {
		g.Commands.WithLabelValues(command, result).Inc()
	}
	if m.exemplar != nil && (took >= slowCommand || trace != "") {
		labels := prometheus.Labels{"connection": connection.String()}
		if trace != "" {
			labels["trace_id"] = trace
		}
		m.exemplar.ObserveWithExemplar(took.Seconds(), labels)
		return
	}
	m.duration.Observe(took.Seconds())
}
