// Package metric has every number that chowk counts, in one place: a field here
// and the line that counts is all that a metric takes.
package metric

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are all numbers of one server, in a registry of their own.
type Metrics struct {
	Registry *prometheus.Registry
	// Definitions are all of them, in the order in which they are made: the
	// dashboard is generated from it, and the alerts are checked against it.
	Definitions []Definition
	Journal     *Journal
	Hub         *Hub
	Gateway     *Gateway
	Store       *Store
	Pool        *Pool
	Node        *Node
	Canary      *Canary
	Trace       *Trace
	Relay       *Relay
}

// Definition says what a metric is.
type Definition struct {
	Name, Help string
	Type       Type
	Labels     []string
}

// Type is a kind of metric.
type Type string

// The kinds.
const (
	GaugeType     Type = "gauge"
	CounterType   Type = "counter"
	HistogramType Type = "histogram"
)

// Journal counts the way in.
type Journal struct {
	Queued    prometheus.Gauge
	Refused   prometheus.Counter
	Group     prometheus.Histogram
	Commit    prometheus.Histogram
	ReadGroup prometheus.Histogram
}

// Hub counts the way out.
type Hub struct {
	Channels      prometheus.Gauge
	Subscriptions prometheus.Gauge
	Delivered     prometheus.Counter
	Writes        prometheus.Counter
	Behind        prometheus.Counter
	CaughtUp      prometheus.Counter
	GapFills      prometheus.Counter
	Resyncs       prometheus.Counter
	LogReads      prometheus.Counter
	Lag           prometheus.Histogram
	RingBytes     prometheus.Gauge
}

// Gateway counts sockets and what they ask.
type Gateway struct {
	Sockets    prometheus.Gauge
	Handshakes Counters // by result
	Events     Counters // by event and code
	Duration   Histograms
	Closed     Counters // by reason
	Handshake  prometheus.Histogram
	Resumes    Counters // of channels, by result
	Held       *HeldWrites

	known sync.Map // *answered by event
}

// Store counts what the database does.
type Store struct {
	Wait      Histograms // by unit
	Hold      Histograms // by unit
	Statement Histograms // by name
	// Statements counts each of those that are sent together.
	Statements    Counters // by name
	Errors        Counters // by name
	Refusals      Counters // by unit and why
	Held          Counters // by unit
	Cancellations Counters // by unit
}

// New makes all metrics.
func New() *Metrics { return build(false) }

func build(discard bool) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	b := builder{m, discard}
	m.Journal = &Journal{
		Queued:    b.gauge("chowk_journal_queued", "Changes that wait for their group."),
		Refused:   b.counter("chowk_journal_refused_total", "Changes refused because the queue was full or the wait too long."),
		Group:     b.histogram("chowk_journal_group_size", "Changes per commit.", prometheus.ExponentialBuckets(1, 2, 10)),
		Commit:    b.histogram("chowk_journal_commit_duration_seconds", "Duration of a group's commit.", latency),
		ReadGroup: b.histogram("chowk_journal_read_group_size", "Read cursors per commit.", prometheus.ExponentialBuckets(1, 2, 10)),
	}
	m.Hub = &Hub{
		Channels:      b.gauge("chowk_hub_channels", "Channels that somebody listens to here."),
		Subscriptions: b.gauge("chowk_hub_subscriptions", "Cursors: one for each socket and channel it hears."),
		Delivered:     b.counter("chowk_hub_delivered_total", "Events written to sockets."),
		Writes:        b.counter("chowk_hub_writes_total", "Writes that carried them; fewer than events when several are due at once."),
		Behind:        b.counter("chowk_hub_fell_behind_total", "Times that a cursor fell behind because its socket took no more."),
		CaughtUp:      b.counter("chowk_hub_caught_up_total", "Times that a cursor became level again."),
		GapFills:      b.counter("chowk_hub_gap_fills_total", "Reads of the log for entries that were not seen happen."),
		Resyncs:       b.counter("chowk_hub_resyncs_total", "Cursors whose client was told to load the channel again, because the log does not reach back to them."),
		LogReads:      b.counter("chowk_hub_log_reads_total", "Reads of the log for sockets that are further behind than the ring reaches."),
		Lag:           b.histogram("chowk_delivery_lag_seconds", "Time from a commit until the last socket that keeps up was written to.", latency),
		RingBytes:     b.gauge("chowk_hub_ring_bytes", "Bytes of recent events kept encoded."),
	}
	m.Gateway = &Gateway{
		Sockets:    b.gauge("chowk_sockets", "Open sockets."),
		Handshakes: b.counters("chowk_handshakes_total", "Socket handshakes by result.", "result"),
		Events:     b.counters("chowk_commands_total", "Commands from clients by type and result.", "command", "result"),
		Duration:   b.histograms("chowk_command_duration_seconds", "Time from a command's arrival to its answer.", latency, "command"),
		Closed:     b.counters("chowk_sockets_closed_total", "Sockets closed by reason.", "reason"),
		Handshake:  b.histogram("chowk_handshake_duration_seconds", "Time from a handshake's request to its answer.", latency),
		Resumes:    b.counters("chowk_resumes_total", "Channels that reconnecting clients resumed, by result: ok, denied, or why the client must load the channel again (epoch: another history; ahead: a cursor beyond the channel's head).", "result"),
	}
	m.Gateway.Held = &HeldWrites{
		Found: b.counter("chowk_db_held_across_socket_write_total", "Writes to sockets by somebody who held a database connection, of the one in 1024 that is looked at. Always 0."),
		Every: lookEvery,
	}
	m.Store = &Store{
		Wait:          b.histograms("chowk_db_wait_seconds", "Time a unit of work waited for a connection.", latency, "unit"),
		Hold:          b.histograms("chowk_db_hold_seconds", "Time a unit of work held a connection.", latency, "unit"),
		Statement:     b.histograms("chowk_db_statement_duration_seconds", "Duration of round trips: of a statement, or under their unit's name of several sent together.", latency, "name"),
		Statements:    b.counters("chowk_db_statements_total", "Statements sent.", "name"),
		Errors:        b.counters("chowk_db_errors_total", "Round trips that ended in an error.", "name"),
		Refusals:      b.counters("chowk_db_refusals_total", "Units of work that got no connection.", "unit", "reason"),
		Held:          b.counters("chowk_db_held_too_long_total", "Units of work that held their connection beyond the soft limit.", "unit"),
		Cancellations: b.counters("chowk_db_hold_cancelled_total", "Units of work cancelled at the hard limit.", "unit"),
	}
	for _, result := range []string{"ok", "denied", "epoch", "ahead"} {
		m.Gateway.Resumes.WithLabelValues(result) // there from the start: an alert sees the first one
	}
	m.Pool = newPool(b)
	m.Node = newNode(b)
	m.Canary = newCanary(b)
	m.Trace = newTrace(b)
	m.Relay = newRelay(b)
	return m
}

// latency spans a tenth of a millisecond to ten seconds.
var latency = prometheus.ExponentialBucketsRange(0.0001, 10, 16)

// builder registers what it makes and writes down what it is.
type builder struct {
	m       *Metrics
	discard bool
}

func (b builder) define(t Type, name, help string, labels []string, c prometheus.Collector) {
	b.m.Definitions = append(b.m.Definitions, Definition{Name: name, Help: help, Type: t, Labels: labels})
	b.m.Registry.MustRegister(c)
}

func (b builder) gauge(name, help string) prometheus.Gauge {
	if b.discard {
		return noGauge{}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	b.define(GaugeType, name, help, nil, g)
	return g
}

func (b builder) gauges(name, help string, labels ...string) Gauges {
	if b.discard {
		return noGauges{}
	}
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	b.define(GaugeType, name, help, labels, g)
	return g
}

func (b builder) counter(name, help string) prometheus.Counter {
	if b.discard {
		return noCounter{}
	}
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	b.define(CounterType, name, help, nil, c)
	return c
}

func (b builder) counters(name, help string, labels ...string) Counters {
	if b.discard {
		return noCounters{}
	}
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	b.define(CounterType, name, help, labels, c)
	return c
}

func (b builder) histogram(name, help string, buckets []float64) prometheus.Histogram {
	if b.discard {
		return noHistogram{}
	}
	h := prometheus.NewHistogram(b.opts(name, help, buckets))
	b.define(HistogramType, name, help, nil, h)
	return h
}

func (b builder) histograms(name, help string, buckets []float64, labels ...string) Histograms {
	if b.discard {
		return noHistograms{}
	}
	h := prometheus.NewHistogramVec(b.opts(name, help, buckets), labels)
	b.define(HistogramType, name, help, labels, h)
	return h
}

func (builder) opts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160}
}
