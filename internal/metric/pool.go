package metric

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pool tells how the connections to the database are used, whenever Prometheus
// asks.
type Pool struct {
	read atomic.Pointer[func() PoolNumbers]

	inUse, idle, most, waiting, constructing, oldest, opened, closed, unreachable *prometheus.Desc
	replicaOut, replicaReads                                                      *prometheus.Desc
	cacheRequests, cacheEntries                                                   *prometheus.Desc
}

// PoolNumbers are those of one moment.
type PoolNumbers struct {
	InUse, Idle, Most, Waiting, Constructing int
	OldestWait                               time.Duration
	Opened, Closed                           int64
	Unreachable                              bool
	Replicas                                 []ReplicaNumbers
	Caches                                   []CacheNumbers
}

// ReplicaNumbers are those of one read replica since the start.
type ReplicaNumbers struct {
	Name                   string
	Out                    bool
	Served, Behind, Failed int64
}

// CacheNumbers are those of one cache since the start.
type CacheNumbers struct {
	Name         string
	Hits, Misses uint64
	Entries      int
}

func newPool(b builder) *Pool {
	describe := func(t Type, name, help string, labels ...string) *prometheus.Desc {
		b.m.Definitions = append(b.m.Definitions, Definition{Name: name, Help: help, Type: t, Labels: labels})
		return prometheus.NewDesc(name, help, labels, nil)
	}
	p := &Pool{
		inUse:         describe(GaugeType, "chowk_db_pool_in_use", "Connections that units of work hold."),
		idle:          describe(GaugeType, "chowk_db_pool_idle", "Connections that nobody holds."),
		most:          describe(GaugeType, "chowk_db_pool_max", "The most connections that units of work may hold at once."),
		waiting:       describe(GaugeType, "chowk_db_pool_waiting", "Units of work that wait for a connection."),
		constructing:  describe(GaugeType, "chowk_db_pool_opening", "Connections that are being opened."),
		oldest:        describe(GaugeType, "chowk_db_pool_oldest_wait_seconds", "How long the first of those who wait has waited."),
		opened:        describe(CounterType, "chowk_db_pool_opened_total", "Connections opened."),
		closed:        describe(CounterType, "chowk_db_pool_closed_total", "Connections closed."),
		unreachable:   describe(GaugeType, "chowk_db_unreachable", "1 while units of work are refused at once because the database does not answer."),
		replicaOut:    describe(GaugeType, "chowk_db_replica_unavailable", "1 while a read replica is not asked.", "replica"),
		replicaReads:  describe(CounterType, "chowk_db_replica_reads_total", "Reads offered to a replica: served, behind (passed over for the primary), failed.", "replica", "result"),
		cacheRequests: describe(CounterType, "chowk_cache_requests_total", "Look-ups in a cache: hit or miss.", "cache", "result"),
		cacheEntries:  describe(GaugeType, "chowk_cache_entries", "Entries in a cache.", "cache"),
	}
	b.m.Registry.MustRegister(p)
	return p
}

// Watch reads the numbers with f from now on.
func (p *Pool) Watch(f func() PoolNumbers) { p.read.Store(&f) }

// Describe implements prometheus.Collector.
func (p *Pool) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		p.inUse, p.idle, p.most, p.waiting, p.constructing, p.oldest, p.opened, p.closed, p.unreachable,
		p.replicaOut, p.replicaReads, p.cacheRequests, p.cacheEntries,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector: all numbers are from one look.
func (p *Pool) Collect(ch chan<- prometheus.Metric) {
	read := p.read.Load()
	if read == nil {
		return // no database is open yet
	}
	n := (*read)()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(p.inUse, float64(n.InUse))
	gauge(p.idle, float64(n.Idle))
	gauge(p.most, float64(n.Most))
	gauge(p.waiting, float64(n.Waiting))
	gauge(p.constructing, float64(n.Constructing))
	gauge(p.oldest, n.OldestWait.Seconds())
	counter(p.opened, float64(n.Opened))
	counter(p.closed, float64(n.Closed))
	gauge(p.unreachable, one(n.Unreachable))
	for _, r := range n.Replicas {
		gauge(p.replicaOut, one(r.Out), r.Name)
		counter(p.replicaReads, float64(r.Served), r.Name, "served")
		counter(p.replicaReads, float64(r.Behind), r.Name, "behind")
		counter(p.replicaReads, float64(r.Failed), r.Name, "failed")
	}
	for _, c := range n.Caches {
		counter(p.cacheRequests, float64(c.Hits), c.Name, "hit")
		counter(p.cacheRequests, float64(c.Misses), c.Name, "miss")
		gauge(p.cacheEntries, float64(c.Entries), c.Name)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
