package metric

import (
	"bytes"
	"os"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Node describes this process and the memory of its sockets.
type Node struct {
	Build       Gauges // by version, commit and go; always 1
	Database    Gauges // by kind and durability; always 1
	Draining    prometheus.Gauge
	SocketLimit Gauges // by bound
	Health      Gauges // by check: 0 ok, 1 warning, 2 failing

	sockets  func() (open, backlogged int)
	baseline float64 // resident bytes before the first socket

	backlogged, perSocket *prometheus.Desc
}

func newNode(b builder) *Node {
	n := &Node{
		Build: b.gauges("chowk_build_info", "Version, commit and Go version of this binary.",
			"version", "commit", "go"),
		Database: b.gauges("chowk_database_info",
			"Kind of database, and what an ack means: disk, replica, or os (which a power cut can lose).",
			"kind", "durability"),
		Draining:    b.gauge("chowk_draining", "1 from the signal to stop until the end."),
		SocketLimit: b.gauges("chowk_sockets_limit", "Maximum number of sockets on this node.", "bound"),
		Health: b.gauges("chowk_health",
			"Result of each check of /readyz: 0 ok, 1 warning, 2 failing.", "check"),
		sockets:  func() (int, int) { return 0, 0 },
		baseline: residentBytes(),
	}
	n.backlogged = b.describe(GaugeType, "chowk_sockets_backlogged",
		"Open sockets to peers that do not read what was written.")
	n.perSocket = b.describe(GaugeType, "chowk_socket_memory_bytes",
		"Resident memory of this process beyond that at its start, divided by open sockets; "+
			"not exported below 100 sockets.")
	b.m.Registry.MustRegister(n)
	return n
}

// Watch sets the function that counts sockets. It is called whenever Prometheus scrapes.
func (n *Node) Watch(f func() (open, backlogged int)) { n.sockets = f }

// Runtime adds the metrics of the process and of Go's runtime. The process that serves
// calls it once.
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

// minSockets is the number of sockets from which memory per socket is meaningful.
const minSockets = 100

// Collect implements prometheus.Collector.
func (n *Node) Collect(ch chan<- prometheus.Metric) {
	open, backlogged := n.sockets()
	ch <- prometheus.MustNewConstMetric(n.backlogged, prometheus.GaugeValue, float64(backlogged))
	if rss := residentBytes(); open >= minSockets && rss > n.baseline {
		perSocket := (rss - n.baseline) / float64(open)
		ch <- prometheus.MustNewConstMetric(n.perSocket, prometheus.GaugeValue, perSocket)
	}
}

// residentBytes returns the resident memory of the process; 0 where the system does not
// report it.
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

// Canary counts the messages that a node sends to itself through its public listener.
type Canary struct {
	OK        prometheus.Gauge
	Last      prometheus.Gauge
	RoundTrip prometheus.Histogram
	Failures  Counters // by stage
}

func newCanary(b builder) *Canary {
	c := &Canary{
		OK: b.gauge("chowk_canary_ok",
			"1 if the last canary message came back in order and in time; 0 if not, and before the first one."),
		Last: b.gauge("chowk_canary_last_success_timestamp_seconds",
			"Time of the last canary message that came back."),
		RoundTrip: b.histogram("chowk_canary_round_trip_seconds",
			"Time from sending a canary message until it arrived at the sender's other socket.", latency),
		Failures: b.counters("chowk_canary_failures_total",
			"Canary messages that failed, by stage: connect, send, deliver, order.", "stage"),
	}
	expect(c.Failures, "connect", "send", "deliver", "order")
	return c
}
