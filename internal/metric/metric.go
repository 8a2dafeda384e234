// Package metric defines all metrics of chowk. A metric takes a field here, a line that
// creates it, and the line that counts.
package metric

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the metrics of one server, with a registry of their own.
type Metrics struct {
	Registry *prometheus.Registry
	// Definitions describe all metrics in the order of creation. The dashboard is
	// generated from them, and the alerts are checked against them.
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

// Definition describes a metric.
type Definition struct {
	Name, Help string
	Type       Type
	Labels     []string
}

// Type is a type of metric.
type Type string

// Types of metrics.
const (
	GaugeType     Type = "gauge"
	CounterType   Type = "counter"
	HistogramType Type = "histogram"
)

// New returns all metrics.
func New() *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	b := builder{m}
	m.Journal = newJournal(b)
	m.Hub = newHub(b)
	m.Gateway = newGateway(b)
	m.Store = newStore(b)
	m.Pool = newPool(b)
	m.Node = newNode(b)
	m.Canary = newCanary(b)
	m.Trace = newTrace(b)
	m.Relay = newRelay(b)
	return m
}

// Journal counts changes on their way into the database.
type Journal struct {
	Queued    prometheus.Gauge
	Refused   prometheus.Counter
	Group     prometheus.Histogram
	Commit    prometheus.Histogram
	ReadGroup prometheus.Histogram
}

func newJournal(b builder) *Journal {
	groups := prometheus.ExponentialBuckets(1, 2, 10)
	return &Journal{
		Queued: b.gauge("chowk_journal_queued", "Changes that wait for their group."),
		Refused: b.counter("chowk_journal_refused_total",
			"Changes refused because the queue was full or the wait too long."),
		Group:     b.histogram("chowk_journal_group_size", "Changes per commit.", groups),
		Commit:    b.histogram("chowk_journal_commit_duration_seconds", "Duration of a group's commit.", latency),
		ReadGroup: b.histogram("chowk_journal_read_group_size", "Read cursors per commit.", groups),
	}
}

// Hub counts events on their way to sockets.
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

func newHub(b builder) *Hub {
	return &Hub{
		Channels:      b.gauge("chowk_hub_channels", "Channels with a listener on this node."),
		Subscriptions: b.gauge("chowk_hub_subscriptions", "Subscriptions of sockets to channels."),
		Delivered:     b.counter("chowk_hub_delivered_total", "Events written to sockets."),
		Writes: b.counter("chowk_hub_writes_total",
			"Writes of events to sockets; fewer than events when several are due at once."),
		Behind: b.counter("chowk_hub_fell_behind_total",
			"Times that a subscription fell behind because its socket accepted no more data."),
		CaughtUp: b.counter("chowk_hub_caught_up_total", "Times that a subscription caught up."),
		GapFills: b.counter("chowk_hub_gap_fills_total",
			"Reads of the log for entries that were missing from what was published."),
		Resyncs: b.counter("chowk_hub_resyncs_total",
			"Times that a client had to reload a channel, because the log no longer reaches back far enough."),
		LogReads: b.counter("chowk_hub_log_reads_total",
			"Reads of the log for sockets that are further behind than the ring reaches."),
		Lag: b.histogram("chowk_delivery_lag_seconds",
			"Time from a commit until the last socket that keeps up was written to.", latency),
		RingBytes: b.gauge("chowk_hub_ring_bytes", "Bytes of recent events that are kept encoded."),
	}
}

// latency has buckets from 0.1 ms to 10 s.
var latency = prometheus.ExponentialBucketsRange(0.0001, 10, 16)

// builder creates metrics, registers them and records their definitions.
type builder struct{ m *Metrics }

func (b builder) define(t Type, name, help string, labels []string, c prometheus.Collector) {
	b.m.Definitions = append(b.m.Definitions, Definition{Name: name, Help: help, Type: t, Labels: labels})
	b.m.Registry.MustRegister(c)
}

// describe records the definition of a metric that a collector of this package exports.
func (b builder) describe(t Type, name, help string, labels ...string) *prometheus.Desc {
	b.m.Definitions = append(b.m.Definitions, Definition{Name: name, Help: help, Type: t, Labels: labels})
	return prometheus.NewDesc(name, help, labels, nil)
}

func (b builder) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	b.define(GaugeType, name, help, nil, g)
	return g
}

func (b builder) gauges(name, help string, labels ...string) Gauges {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	b.define(GaugeType, name, help, labels, g)
	return g
}

func (b builder) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	b.define(CounterType, name, help, nil, c)
	return c
}

func (b builder) counters(name, help string, labels ...string) Counters {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	b.define(CounterType, name, help, labels, c)
	return c
}

func (b builder) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(b.opts(name, help, buckets))
	b.define(HistogramType, name, help, nil, h)
	return h
}

func (b builder) histograms(name, help string, buckets []float64, labels ...string) Histograms {
	h := prometheus.NewHistogramVec(b.opts(name, help, buckets), labels)
	b.define(HistogramType, name, help, labels, h)
	return h
}

func (builder) opts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160,
	}
}

// expect creates the counters of all values of a label that alerts are about. Otherwise
// a counter would begin at 1, and an alert would miss the first increase.
func expect(c Counters, values ...string) {
	for _, v := range values {
		c.WithLabelValues(v)
	}
}
