package metric

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pool exports the state of the database pool, its replicas and the caches. It reads
// them whenever Prometheus scrapes.
type Pool struct {
	read atomic.Pointer[func() PoolStats]

	inUse, idle, max, waiting, opening, oldest, opened, closed, unreachable *prometheus.Desc
	replicaUnavailable, replicaReads                                        *prometheus.Desc
	cacheRequests, cacheEntries                                             *prometheus.Desc
}

// PoolStats is the state of the pool at one moment. Counters count from the start.
type PoolStats struct {
	InUse, Idle, Max, Waiting, Opening int
	OldestWait                         time.Duration
	Opened, Closed                     int64
	Unreachable                        bool
	Replicas                           []ReplicaStats
	Caches                             []CacheStats
}

// ReplicaStats is the state of one read replica.
type ReplicaStats struct {
	Name                   string
	Unavailable            bool
	Served, Behind, Failed int64
}

// CacheStats is the state of one cache.
type CacheStats struct {
	Name         string
	Hits, Misses uint64
	Entries      int
}

func newPool(b builder) *Pool {
	p := &Pool{
		inUse: b.describe(GaugeType, "chowk_db_pool_in_use", "Connections that units of work hold."),
		idle:  b.describe(GaugeType, "chowk_db_pool_idle", "Idle connections."),
		max: b.describe(GaugeType, "chowk_db_pool_max",
			"Maximum number of connections that units of work may hold at once."),
		waiting: b.describe(GaugeType, "chowk_db_pool_waiting", "Units of work that wait for a connection."),
		opening: b.describe(GaugeType, "chowk_db_pool_opening", "Connections that are being opened."),
		oldest: b.describe(GaugeType, "chowk_db_pool_oldest_wait_seconds",
			"How long the first unit of work in the queue has waited."),
		opened: b.describe(CounterType, "chowk_db_pool_opened_total", "Connections opened."),
		closed: b.describe(CounterType, "chowk_db_pool_closed_total", "Connections closed."),
		unreachable: b.describe(GaugeType, "chowk_db_unreachable",
			"1 while units of work are refused at once because the database does not answer."),
		replicaUnavailable: b.describe(GaugeType, "chowk_db_replica_unavailable",
			"1 while a read replica is not used.", "replica"),
		replicaReads: b.describe(CounterType, "chowk_db_replica_reads_total",
			"Reads offered to a replica: served, behind (read from the primary instead), failed.", "replica", "result"),
		cacheRequests: b.describe(CounterType, "chowk_cache_requests_total",
			"Lookups in a cache: hit or miss.", "cache", "result"),
		cacheEntries: b.describe(GaugeType, "chowk_cache_entries", "Entries in a cache.", "cache"),
	}
	b.m.Registry.MustRegister(p)
	return p
}

// Watch sets the function that returns the state.
func (p *Pool) Watch(f func() PoolStats) { p.read.Store(&f) }

// Describe implements prometheus.Collector.
func (p *Pool) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		p.inUse, p.idle, p.max, p.waiting, p.opening, p.oldest, p.opened, p.closed, p.unreachable,
		p.replicaUnavailable, p.replicaReads, p.cacheRequests, p.cacheEntries,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. All values are of the same moment.
func (p *Pool) Collect(ch chan<- prometheus.Metric) {
	read := p.read.Load()
	if read == nil {
		return // no database is open yet
	}
	s := (*read)()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(p.inUse, float64(s.InUse))
	gauge(p.idle, float64(s.Idle))
	gauge(p.max, float64(s.Max))
	gauge(p.waiting, float64(s.Waiting))
	gauge(p.opening, float64(s.Opening))
	gauge(p.oldest, s.OldestWait.Seconds())
	counter(p.opened, float64(s.Opened))
	counter(p.closed, float64(s.Closed))
	gauge(p.unreachable, boolValue(s.Unreachable))
	for _, r := range s.Replicas {
		gauge(p.replicaUnavailable, boolValue(r.Unavailable), r.Name)
		counter(p.replicaReads, float64(r.Served), r.Name, "served")
		counter(p.replicaReads, float64(r.Behind), r.Name, "behind")
		counter(p.replicaReads, float64(r.Failed), r.Name, "failed")
	}
	for _, c := range s.Caches {
		counter(p.cacheRequests, float64(c.Hits), c.Name, "hit")
		counter(p.cacheRequests, float64(c.Misses), c.Name, "miss")
		gauge(p.cacheEntries, float64(c.Entries), c.Name)
	}
}

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
