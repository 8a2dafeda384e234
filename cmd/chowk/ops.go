package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/ops"
	"github.com/chowk-chat/chowk/internal/relay"
)

// operations is the listener for whoever runs the server. It is there before the
// public one, and goes last, so that starting and draining can be watched.
type operations struct {
	http *http.Server
	done chan struct{}
}

// listenForOperations opens the listener, nil when it is off. When nobody chose the
// address and it is taken, any other will do: a second server on a developer's
// machine is no mistake.
func listenForOperations(ctx context.Context, cfg Config, log *slog.Logger) (net.Listener, error) {
	if cfg.Ops.Listen == "" {
		return nil, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Ops.Listen)
	if err != nil && cfg.sources["ops.listen"].Kind == "default" {
		log.Warn("the address for operations is taken, so another one is used; set ops.listen to choose it", "address", cfg.Ops.Listen)
		l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen for operations on %s: %w", cfg.Ops.Listen, err)
	}
	return l, nil
}

// serveOperations begins to answer on l.
func (s *server) serveOperations(l net.Listener) {
	if l == nil {
		return
	}
	door := &ops.Server{
		Metrics: promhttp.HandlerFor(s.metrics.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		Health:  s.health,
		Sockets: func(most int) any { return s.gateway.Debug(most) },
		Pool:    func() any { return reports{s.db}.Pool() },
		Log:     s.log,
	}
	s.ops = &operations{http: door.HTTP(), done: make(chan struct{})}
	go func() { // ends when close closes the server
		defer close(s.ops.done)
		if err := ops.Serve(s.ops.http, l); err != nil {
			s.log.Error("operations", "err", err)
		}
	}()
	s.log.Info("operations", "url", "http://"+l.Addr().String())
}

func (o *operations) close() error {
	if o == nil {
		return nil
	}
	err := o.http.Close()
	<-o.done
	return err
}

// Free space below which somebody should look.
const (
	littleSpace   = 1 << 30
	littlePercent = 10
)

// checks are what /readyz looks at. Only what another node could do better keeps
// traffic away from this one: with a full disk everything but sending goes on.
func (s *server) checks(sockets int) *ops.Health {
	checks := []ops.Check{
		s.check("database", func(ctx context.Context) ops.Finding {
			if err := s.db.Ping(ctx); err != nil {
				return ops.Finding{State: ops.Failing, Detail: s.db.Kind() + " does not answer"}
			}
			return ops.Finding{State: ops.OK, Detail: s.db.Kind() + ", an ack means " + s.db.Durability()}
		}),
		s.check("draining", func(context.Context) ops.Finding {
			if s.draining.Load() {
				return ops.Finding{State: ops.Failing, Detail: "this server stops"}
			}
			return ops.Finding{State: ops.OK}
		}),
		s.check("sockets", func(context.Context) ops.Finding {
			open := s.gateway.Sockets()
			f := ops.Finding{State: ops.OK, Detail: fmt.Sprintf("%d of %d", open, sockets)}
			switch {
			case open >= sockets:
				f.State = ops.Failing
			case open >= sockets/100*90 && sockets >= 100:
				f.State = ops.Warning
			}
			return f
		}),
		s.check("disk", func(context.Context) ops.Finding { return diskFinding(s.cfg.dataPath()) }),
	}
	if s.relay != nil {
		checks = append(checks, s.check("nodes", func(context.Context) ops.Finding { return nodesFinding(s.relay.State()) }))
	}
	return &ops.Health{Checks: checks}
}

// nodesFinding is about the other nodes. Without them this one goes on, only that
// what they commit comes through the database, a few seconds later: traffic that was
// sent elsewhere would have it no better.
func nodesFinding(s relay.State) ops.Finding {
	if s.Degraded {
		return ops.Finding{State: ops.Warning, Detail: s.String()}
	}
	return ops.Finding{State: ops.OK, Detail: s.String()}
}

// check exports what is found as a number.
func (s *server) check(name string, look func(context.Context) ops.Finding) ops.Check {
	gauge := s.metrics.Node.Health.WithLabelValues(name)
	return ops.Check{Name: name, Check: func(ctx context.Context) ops.Finding {
		f := look(ctx)
		gauge.Set(map[ops.State]float64{ops.OK: 0, ops.Warning: 1, ops.Failing: 2}[f.State])
		return f
	}}
}

func diskFinding(path string) ops.Finding {
	free, total, ok := ops.Disk(path)
	if !ok || total == 0 {
		return ops.Finding{State: ops.OK, Detail: "not known here"}
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
func (s *server) describe(numbers *metric.Metrics, sockets int) {
	v, commit := buildVersion()
	numbers.Runtime(v, commit)
	numbers.Node.Database.WithLabelValues(s.db.Kind(), s.db.Durability()).Set(1)
	numbers.Node.SocketLimit.WithLabelValues("all").Set(float64(sockets))
	numbers.Node.SocketLimit.WithLabelValues("user").Set(float64(s.cfg.Limits.SocketsPerUser))
	numbers.Node.Watch(s.gateway.Count)
}

// buildVersion is the version that the linker set, or else what Go knows of the
// source.
func buildVersion() (v, commit string) {
	v = version
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v, ""
	}
	if v == "" {
		v = info.Main.Version
	}
	if v == "" || v == "(devel)" {
		v = "development"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value[:min(12, len(s.Value))]
		}
	}
	return v, commit
}
