package main

import (
	"context"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/trace"
	"github.com/chowk-chat/chowk/internal/trace/otlp"
)

// flushTimeout is how long a server that has done everything else waits for the
// collector to take the last traces.
const flushTimeout = 3 * time.Second

// startTracing gives nil when it is off.
func (s *server) startTracing(ctx context.Context) (*trace.Tracer, error) {
	if s.cfg.Trace.Endpoint == "" {
		return nil, nil //nolint:nilnil // a nil tracer traces nothing
	}
	version, _ := buildVersion()
	node := chat.NewID().String()
	var err error
	s.tracing, err = otlp.Start(ctx, otlp.Options{
		Endpoint: s.cfg.Trace.Endpoint, Ratio: s.cfg.Trace.Ratio, Version: version, Node: node, Metrics: s.metrics.Trace, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	s.log.Info("tracing", "endpoint", s.cfg.Trace.Endpoint, "ratio", s.cfg.Trace.Ratio, "instance", node)
	return s.tracing.Tracer, nil
}

// stopTracing sends what is left. A collector that does not take it is no reason
// for an unclean end.
func (s *server) stopTracing(ctx context.Context) {
	if s.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := s.tracing.Close(ctx); err != nil {
		s.log.Warn("the last traces are lost", "err", err)
	}
}
