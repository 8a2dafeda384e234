package metric

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Acquired counts a unit of work that is done.
func (s *Store) Acquired(unit string, waited, held time.Duration) {
	s.Wait.WithLabelValues(unit).Observe(waited.Seconds())
	s.Hold.WithLabelValues(unit).Observe(held.Seconds())
}

// Executed counts a round trip of statements.
func (s *Store) Executed(name string, statements []string, took time.Duration, err error) {
	s.Statement.WithLabelValues(name).Observe(took.Seconds())
	for _, n := range statements {
		s.Statements.WithLabelValues(n).Inc()
	}
	if err != nil {
		s.Errors.WithLabelValues(name).Inc()
	}
}

// Refused counts a unit of work that got no connection.
func (s *Store) Refused(unit, why string) { s.Refusals.WithLabelValues(unit, why).Inc() }

// HeldLong counts a unit of work that is past its soft limit.
func (s *Store) HeldLong(unit string) { s.Held.WithLabelValues(unit).Inc() }

// Cancelled counts a unit of work that was cut off at its hard limit.
func (s *Store) Cancelled(unit string) { s.Cut.WithLabelValues(unit).Inc() }

// Pool is how the connections are used at one moment.
type Pool struct {
	InUse, Idle, Most, Waiting, Constructing int
	OldestWait                               time.Duration
	Opened, Closed                           int64
	Unreachable                              bool
}

// WatchPool reads the pool's numbers whenever they are asked for.
func (s *Store) WatchPool(r prometheus.Registerer, read func() Pool) {
	r.MustRegister(poolCollector{read})
}

// poolCollector takes all numbers from one look.
type poolCollector struct{ read func() Pool }

func poolDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("chowk_db_pool_"+name, help, nil, nil)
}

var (
	poolInUse        = poolDesc("in_use", "Connections that units of work hold.")
	poolIdle         = poolDesc("idle", "Connections that nobody holds.")
	poolMax          = poolDesc("max", "The most connections that units of work may hold at once.")
	poolWaiting      = poolDesc("waiting", "Units of work that wait for a connection.")
	poolConstructing = poolDesc("constructing", "Connections that are being opened.")
	poolOldest       = poolDesc("oldest_wait_seconds", "How long the first of those who wait has waited.")
	poolOpened       = poolDesc("opened_total", "Connections opened.")
	poolClosed       = poolDesc("closed_total", "Connections closed.")
	poolUnreachable  = poolDesc("unreachable", "1 while units of work are refused at once because the database does not answer.")
)

// Describe implements [prometheus.Collector].
func (poolCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{poolInUse, poolIdle, poolMax, poolWaiting, poolConstructing, poolOldest, poolOpened, poolClosed, poolUnreachable} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	p := c.read()
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	gauge(poolInUse, float64(p.InUse))
	gauge(poolIdle, float64(p.Idle))
	gauge(poolMax, float64(p.Most))
	gauge(poolWaiting, float64(p.Waiting))
	gauge(poolConstructing, float64(p.Constructing))
	gauge(poolOldest, p.OldestWait.Seconds())
	unreachable := 0.0
	if p.Unreachable {
		unreachable = 1
	}
	gauge(poolUnreachable, unreachable)
	ch <- prometheus.MustNewConstMetric(poolOpened, prometheus.CounterValue, float64(p.Opened))
	ch <- prometheus.MustNewConstMetric(poolClosed, prometheus.CounterValue, float64(p.Closed))
}
