package chowk

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chowk-chat/chowk/internal/buildinfo"
	"github.com/chowk-chat/chowk/internal/ops"
	"github.com/chowk-chat/chowk/internal/relay"
)

// operationsServer returns the server for operators.
func (s *Server) operationsServer() *http.Server {
	return (&ops.Server{
		Metrics: promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		Health:  s.health,
		Sockets: func(limit int) any { return s.gateway.Debug(limit) },
		Pool:    func() any { return reports{s.db}.Pool() },
		Log:     s.log,
	}).HTTP()
}

// Free space on the disk below which a warning is due.
const (
	littleSpace   = 1 << 30
	littlePercent = 10
)

// checks returns what /readyz checks. Only what another node could do better keeps
// traffic away from this one: with a full disk everything except sending works.
func (s *Server) checks(sockets int) *ops.Health {
	checks := []ops.Check{
		s.check("database", s.databaseFinding),
		s.check("draining", s.drainFinding),
		s.check("sockets", func(context.Context) ops.Finding { return socketsFinding(s.gateway.Sockets(), sockets) }),
		s.check("disk", func(context.Context) ops.Finding { return diskFinding(s.cfg.DataPath()) }),
	}
	if s.relay != nil {
		checks = append(checks, s.check("nodes", func(context.Context) ops.Finding { return nodesFinding(s.relay.State()) }))
	}
	return &ops.Health{Checks: checks}
}

// check exports what is found as a metric.
func (s *Server) check(name string, find func(context.Context) ops.Finding) ops.Check {
	gauge := s.metrics.Node.Health.WithLabelValues(name)
	return ops.Check{Name: name, Check: func(ctx context.Context) ops.Finding {
		f := find(ctx)
		gauge.Set(map[ops.State]float64{ops.OK: 0, ops.Warning: 1, ops.Failing: 2}[f.State])
		return f
	}}
}

func (s *Server) databaseFinding(ctx context.Context) ops.Finding {
	if err := s.db.Ping(ctx); err != nil {
		return ops.Finding{State: ops.Failing, Detail: s.db.Kind() + " does not answer"}
	}
	return ops.Finding{State: ops.OK, Detail: s.db.Kind() + ", an ack means " + s.db.Durability()}
}

func (s *Server) drainFinding(context.Context) ops.Finding {
	if s.draining.Load() {
		return ops.Finding{State: ops.Failing, Detail: "this server is stopping"}
	}
	return ops.Finding{State: ops.OK}
}

func socketsFinding(open, limit int) ops.Finding {
	f := ops.Finding{State: ops.OK, Detail: fmt.Sprintf("%d of %d", open, limit)}
	switch {
	case open >= limit:
		f.State = ops.Failing
	case open >= limit/100*90 && limit >= 100:
		f.State = ops.Warning
	}
	return f
}

// nodesFinding never keeps traffic away: without the other nodes this one works, and
// receives what they commit through the database, a few seconds later. Traffic sent
// elsewhere would fare no better.
func nodesFinding(s relay.State) ops.Finding {
	if s.Degraded {
		return ops.Finding{State: ops.Warning, Detail: s.String()}
	}
	return ops.Finding{State: ops.OK, Detail: s.String()}
}

func diskFinding(path string) ops.Finding {
	free, total, ok := ops.Disk(path)
	if !ok || total == 0 {
		return ops.Finding{State: ops.OK, Detail: "unknown on this system"}
	}
	percent := free * 100 / total
	f := ops.Finding{State: ops.OK, Detail: fmt.Sprintf("%s free (%d%%)", humanBytes(free), percent)}
	if percent < littlePercent && free < 10*littleSpace || free < littleSpace {
		f.State = ops.Warning
	}
	return f
}

func humanBytes(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%d B", n)
	}
}

// describe exports what this process is.
func (s *Server) describe(sockets int) {
	s.metrics.Runtime(buildinfo.Version(s.cfg.Version))
	node := s.metrics.Node
	node.Database.WithLabelValues(s.db.Kind(), s.db.Durability()).Set(1)
	node.SocketLimit.WithLabelValues("all").Set(float64(sockets))
	node.SocketLimit.WithLabelValues("user").Set(float64(s.cfg.Limits.SocketsPerUser))
	node.Watch(s.gateway.Count)
}
