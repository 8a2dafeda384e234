package chowk

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/buildinfo"
	"github.com/chowk-chat/chowk/internal/trace"
	"github.com/chowk-chat/chowk/internal/trace/otlp"
)

// flushTimeout is how long a server that has done everything else waits for the
// collector to accept the last traces.
const flushTimeout = 3 * time.Second

// startTracing returns nil when tracing is off.
func (s *Server) startTracing(ctx context.Context) (*trace.Tracer, error) {
	cfg := &s.cfg.Trace
	if cfg.Endpoint == "" {
		return nil, nil //nolint:nilnil // a nil tracer traces nothing
	}
	version, _ := buildinfo.Version(s.cfg.Version)
	node := chat.NewID().String()
	var err error
	s.tracing, err = otlp.Start(ctx, otlp.Options{
		Endpoint: cfg.Endpoint, Ratio: cfg.Ratio, Version: version, Node: node, Metrics: s.metrics.Trace, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("tracing", "endpoint", cfg.Endpoint, "ratio", cfg.Ratio, "instance", node)
	return s.tracing.Tracer, nil
}

// stopTracing sends what is left. A collector that does not accept it does not make
// the end unclean.
func (s *Server) stopTracing(ctx context.Context) {
	if s.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := s.tracing.Close(ctx); err != nil {
		s.log.Warn("the last traces are lost", "err", err)
	}
}
