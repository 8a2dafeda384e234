package metric

import (
	"bytes"
	"os"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Node says what this process is and what its sockets cost.
type Node struct {
	Build     Gauges // by version, commit and go: always 1
	Database  Gauges // by kind and durability: always 1
	Draining  prometheus.Gauge
	SocketsAt Gauges // by bound: how many sockets are allowed
	Check     Gauges // by check: 0 ok, 1 warning, 2 failing

	sockets func() (open, backlogged int)
	base    float64 // resident bytes before the first socket

	backlogged, perSocket *prometheus.Desc
}

func newNode(b builder) *Node {
	n := &Node{
		Build:     b.gauges("chowk_build_info", "What this binary was built from.", "version", "commit", "go"),
		Database:  b.gauges("chowk_database_info", "Which database, and what an ack means there: disk, replica, or os (which a power cut can lose).", "kind", "durability"),
		Draining:  b.gauge("chowk_draining", "1 from the signal to stop until the end."),
		SocketsAt: b.gauges("chowk_sockets_limit", "How many sockets this node takes.", "bound"),
		Check:     b.gauges("chowk_health", "What /readyz finds by check: 0 ok, 1 warning, 2 failing.", "check"),
		sockets:   func() (int, int) { return 0, 0 },
		base:      residentBytes(),
	}
	n.backlogged = n.describe(b, "chowk_sockets_backlogged", "Open sockets whose peer does not take what was written to it.")
	n.perSocket = n.describe(b, "chowk_socket_memory_bytes", "Resident memory of this process beyond that at its start, for each open socket; not told for fewer than 100.")
	b.m.Registry.MustRegister(n)
	return n
}

func (*Node) describe(b builder, name, help string) *prometheus.Desc {
	b.m.Definitions = append(b.m.Definitions, Definition{Name: name, Help: help, Type: GaugeType})
	return prometheus.NewDesc(name, help, nil, nil)
}

// Watch counts sockets with f, each time that Prometheus asks.
func (n *Node) Watch(f func() (open, backlogged int)) { n.sockets = f }

// Runtime adds the numbers of the process and of Go itself. It is called once, by
// the process that serves.
func (m *Metrics) Runtime(version, commit string) {
	m.Registry.MustRegister(
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(
			collectors.MetricsGC, collectors.MetricsMemory, collectors.MetricsScheduler,
		)),
	)
	m.Node.Build.WithLabelValues(version, commit, runtime.Version()).Set(1)
}

// Describe implements prometheus.Collector.
func (n *Node) Describe(ch chan<- *prometheus.Desc) {
	ch <- n.backlogged
	ch <- n.perSocket
}

// fewSockets is how few make the division meaningless.
const fewSockets = 100

// Collect implements prometheus.Collector.
func (n *Node) Collect(ch chan<- prometheus.Metric) {
	open, backlogged := n.sockets()
	ch <- prometheus.MustNewConstMetric(n.backlogged, prometheus.GaugeValue, float64(backlogged))
	if rss := residentBytes(); open >= fewSockets && rss > n.base {
		ch <- prometheus.MustNewConstMetric(n.perSocket, prometheus.GaugeValue, (rss-n.base)/float64(open))
	}
}

// residentBytes is 0 where the system does not tell.
func residentBytes() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return float64(pages) * float64(os.Getpagesize())
}

// Canary counts the messages that a node sends to itself through its own door.
type Canary struct {
	OK       prometheus.Gauge
	Last     prometheus.Gauge
	Trip     prometheus.Histogram
	Failures Counters // by where it stopped
}

func newCanary(b builder) *Canary {
	c := &Canary{
		OK:       b.gauge("chowk_canary_ok", "1 when the last canary message came back, in order and in time; 0 when it did not, and while there is none yet."),
		Last:     b.gauge("chowk_canary_last_success_timestamp_seconds", "When one last did."),
		Trip:     b.histogram("chowk_canary_round_trip_seconds", "Time from sending a canary message until it came back to the sender's other socket.", latency),
		Failures: b.counters("chowk_canary_failures_total", "Canary messages that failed, by the stage at which they failed: connect, send, deliver, order.", "stage"),
	}
	for _, at := range []string{"connect", "send", "deliver", "order"} {
		c.Failures.WithLabelValues(at) // there from the start: an alert sees the first one
	}
	return c
}
