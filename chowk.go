// Package chowk is a real-time messaging server: channels, direct messages and their
// history, over WebSocket and REST. The command cmd/chowk runs it on its own; a Go
// program can also embed it:
//
//	server, err := chowk.Open(ctx, chowk.Config{DatabaseURL: "sqlite:chat.db"})
//	if err != nil {
//		return err
//	}
//	http.Handle("/", server.Handler())
//
// A server starts no listener, installs no signal handler and never ends the process.
// Its sockets leave the HTTP server that accepted them, so shutting that down does not
// close them: [Server.Close] does.
package chowk

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/ops"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/trace/otlp"
)

// Server is one node. Its methods may be called from any goroutine.
type Server struct {
	cfg      Config
	now      func() time.Time
	log      *slog.Logger
	db       *store.Store
	metrics  *metric.Metrics
	tracing  *otlp.Exporter // nil when it is off
	hub      *hub.Hub
	relay    *relay.Node // nil when there can be no other node
	journal  *journal.Journal
	rules    *command.Service
	poller   *netpoll.Poller
	gateway  *gateway.Gateway
	auth     *auth.Authenticator
	accounts *auth.Accounts
	origins  *auth.OriginPolicy
	health   *ops.Health

	handler     http.Handler
	certificate *tls.Certificate // of the public listener; nil without TLS
	public      *http.Server
	operations  *http.Server
	operating   sync.WaitGroup // of the operations listener

	background     context.Context // ends when the server has drained
	stopBackground context.CancelFunc
	tasks          sync.WaitGroup // of what ends with background
	draining       atomic.Bool
	closing        sync.Once
	closed         error // of Close
}

// Open opens the database, brings its schema up to date and starts a server. ctx bounds
// the start only. The caller closes the server.
func Open(ctx context.Context, cfg Config) (*Server, error) {
	if err := cfg.Complete(); err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, now: cfg.Now, log: cfg.Logger, metrics: metric.New()}
	s.background, s.stopBackground = context.WithCancel(context.WithoutCancel(ctx))
	for _, w := range cfg.Warnings() {
		s.log.Warn(w)
	}
	unhook := context.AfterFunc(ctx, s.stopBackground)
	err := s.build(ctx)
	if !unhook() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, s.shutDown(context.WithoutCancel(ctx)))
	}
	s.tasks.Go(func() { s.accounts.Run(s.background) })  // ends when background does
	s.tasks.Go(func() { s.forgetChanges(s.background) }) // ends when background does
	return s, nil
}

// Handler returns the handler of every public request: the REST API, the sockets and
// the web page. It expects to be mounted at the root of a host, and needs HTTP/1.1 for
// sockets.
func (s *Server) Handler() http.Handler { return s.handler }

// OperationsHandler returns the handler for operators: metrics, health details and
// profiles. Do not make it public.
func (s *Server) OperationsHandler() http.Handler { return s.operations.Handler }

// Close tells all sockets to reconnect, over [DrainConfig].Window, commits what has been
// accepted, and closes the database. When ctx ends first, it stops waiting for
// clients. Shut the HTTP server down before: requests that come later fail.
func (s *Server) Close(ctx context.Context) error {
	s.closing.Do(func() {
		s.drain(ctx)
		s.closed = s.shutDown(ctx)
		s.log.Info("stopped", "clean", s.closed == nil)
	})
	return s.closed
}

// drain tells the sockets to reconnect and waits until they are gone.
func (s *Server) drain(ctx context.Context) {
	s.announceDrain()
	s.gateway.Drain(ctx, s.cfg.Drain.Window)
}

// announceDrain makes health checks fail, so that no more traffic is sent here.
func (s *Server) announceDrain() {
	if !s.draining.Swap(true) {
		s.metrics.Node.Draining.Set(1)
		s.log.Info("draining", "delay", s.cfg.Drain.Delay, "window", s.cfg.Drain.Window, "sockets", s.gateway.Sockets())
	}
}

// shutDown closes the parts in the opposite order of build: entry points first, so
// that what they have accepted is committed, published and answered. Each part may be
// missing.
func (s *Server) shutDown(ctx context.Context) error {
	s.stopBackground()
	s.tasks.Wait()
	var errs []error
	if s.public != nil {
		errs = append(errs, s.public.Shutdown(ctx))
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.Close(ctx))
	}
	if s.journal != nil {
		errs = append(errs, s.journal.Close(ctx))
	}
	if s.relay != nil {
		errs = append(errs, s.relay.Close(ctx))
	}
	if s.hub != nil {
		s.hub.Close()
	}
	if s.operations != nil {
		errs = append(errs, s.closeOperations())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	s.stopTracing(ctx)
	return errors.Join(errs...)
}
