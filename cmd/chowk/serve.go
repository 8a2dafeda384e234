package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/ops"
	"github.com/chowk-chat/chowk/internal/relay"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/trace"
	"github.com/chowk-chat/chowk/internal/trace/otlp"
	"github.com/chowk-chat/chowk/web"
)

// server is every room of one node, from the ground up.
type server struct {
	cfg      Config
	now      func() time.Time // the time of day
	log      *slog.Logger
	db       *store.Store
	metrics  *metric.Metrics
	tracing  *otlp.Exporter // nil when it is off
	hub      *hub.Hub
	relay    *relay.Node // nil when this node is alone
	journal  *journal.Journal
	rules    *command.Service
	poller   *netpoll.Poller
	gateway  *gateway.Gateway
	auth     *auth.Authenticator
	accounts *auth.Accounts
	http     *http.Server

	health   *ops.Health
	ops      *operations // nil when it is off
	draining atomic.Bool
	ballast  []byte
}

// serve runs a node until ctx ends, and then drains it.
func serve(ctx context.Context, cfg Config, log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	cfg.Listen = boundAddress(cfg.Listen, listener.Addr())
	operations, err := listenForOperations(ctx, cfg, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s := &server{cfg: cfg, now: wallClock(), log: log, metrics: metric.New(), ballast: ballast(log)}
	defer runtime.KeepAlive(s)
	if err := s.build(ctx); err != nil {
		if operations != nil {
			err = errors.Join(err, operations.Close())
		}
		return errors.Join(err, listener.Close(), s.close(context.Background()))
	}
	s.serveOperations(operations)
	return s.run(ctx, listener)
}

// build makes the rooms in the order in which they look into each other.
func (s *server) build(ctx context.Context) (err error) {
	cfg, log := s.cfg, s.log
	sockets, err := socketLimit(cfg.Limits.Sockets)
	if err != nil {
		return err
	}
	traces, err := s.startTracing(ctx)
	if err != nil {
		return err
	}
	options := storeOptions(cfg)
	options.Observer, options.Log, options.Trace, options.UserChanged = s.metrics.Store, log, traces, s.userChanged
	if s.db, err = store.Open(ctx, options); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	s.metrics.Pool.Watch(func() metric.PoolStats { return poolNumbers(s.db) })
	log.Info("database open", "kind", s.db.Kind(), "durability", s.db.Durability(), "epoch", s.db.Epoch())

	if err := s.buildAuth(ctx); err != nil {
		return err
	}
	if err := s.buildHub(ctx); err != nil {
		return err
	}
	s.journal = journal.Start(journal.Config{Store: s.db, Publisher: s.publisher(), Metrics: s.metrics.Journal, Log: log, Workers: s.journalWorkers(), Trace: traces, TraceFanout: s.hub.TraceFanout})
	s.rules = &command.Service{Journal: s.journal, Store: s.db, Realtime: s.hub, Now: s.now, OpenDirectory: true}

	if s.poller, err = netpoll.New(netpoll.Options{
		Driver: cfg.driver(), Heartbeat: cfg.Heartbeat, PartialTimeout: cfg.Limits.MessageReadTimeout,
	}); err != nil {
		return fmt.Errorf("start the poller: %w", err)
	}
	log.Info("transport ready", "driver", s.poller.Driver(), "sockets_at_most", sockets)
	door := &auth.OriginPolicy{Origins: cfg.Origins, PublicURL: cfg.PublicURL, Proxies: cfg.TrustedProxies}
	s.gateway = gateway.New(gateway.Config{
		Commands: s.rules, Hub: s.hub, Auth: s.auth, Origins: door, Poller: s.poller, Metrics: s.metrics.Gateway, Trace: traces, Log: log, Now: s.now,
		Epoch: s.db.Epoch(), Durability: s.db.Durability(), Heartbeat: cfg.Heartbeat, LegacyPage: cfg.Compat.CampusPanditPage,
		Deflate: cfg.Deflate > 0,
		Limits: gateway.Limits{
			Sockets: sockets, SocketsPerUser: cfg.Limits.SocketsPerUser, SocketsPerAddress: cfg.Limits.SocketsPerAddress,
			HandshakesPerSecond: cfg.Limits.HandshakesPerSecond,
			CommandsPerSecond:   cfg.Limits.CommandsPerSecond, CommandsBurst: cfg.Limits.CommandsBurst,
			UserCommandsPerSecond: cfg.Limits.UserCommandsPerSecond, UserCommandsBurst: cfg.Limits.UserCommandsBurst,
			ControlFramesPerSecond: cfg.Limits.ControlFramesPerSecond, PartialBytes: int(cfg.Limits.PartialBytes),
			Frame: frame.Limits{Message: int(cfg.Limits.MessageBytes), Frame: int(cfg.Limits.FrameBytes), Fragments: cfg.Limits.Fragments},
		},
	})
	s.auth.OnRevoke = s.gateway.Revoke
	if s.relay != nil {
		s.auth.OnRevoked = s.relay.Revoked
		if err := s.relay.Start(ctx, s.hub); err != nil {
			return fmt.Errorf("start the relay: %w", err)
		}
	}
	s.health = s.checks(sockets)
	s.describe(s.metrics, sockets)
	s.http = s.httpServer(door, traces)
	return nil
}

// buildHub makes the hub, and what tells it of other nodes.
func (s *server) buildHub(ctx context.Context) (err error) {
	c := hub.Config{Store: s.db, Metrics: s.metrics.Hub, Log: s.log, Now: s.now, RingBytes: int64(s.cfg.Ring.Bytes), Deflate: int(s.cfg.Deflate)}
	if s.relay, err = s.buildRelay(ctx); err != nil {
		return err
	}
	if s.relay != nil {
		c.Relay = s.relay
	}
	s.hub = hub.Start(c)
	return nil
}

// journalWorkers returns how many groups are committed at a time. On SQLite a second worker
// would only wait for the first, and refuse its own group if that takes long.
func (s *server) journalWorkers() int {
	if s.db.Kind() == "sqlite" {
		return 1
	}
	return s.cfg.Journal.Workers
}

func (s *server) buildAuth(ctx context.Context) (err error) {
	cfg := s.cfg
	var verifier *auth.Verifier
	if cfg.Auth.JWTSecret != "" || cfg.Auth.JWTKeyFile != "" || cfg.Auth.JWKSURL != "" {
		verifier, err = auth.NewVerifier(ctx, auth.VerifierOptions{
			Secret: cfg.Auth.JWTSecret, KeyFile: cfg.Auth.JWTKeyFile, JWKSURL: cfg.Auth.JWKSURL,
			Issuer: cfg.Auth.JWTIssuer, Audience: cfg.Auth.JWTAudience, Log: s.log, Now: s.now,
		})
		if err != nil {
			return fmt.Errorf("prepare the check of tokens: %w", err)
		}
	}
	s.auth = auth.New(auth.Options{Mode: cfg.Auth.Mode, Store: s.db, Verifier: verifier, Now: s.now})
	people := auth.AccountsOptions{
		Store: s.db, Auth: s.auth, Signup: cfg.Auth.Signup, SessionTTL: cfg.Auth.SessionTTL, PublicURL: cfg.BaseURL(), Log: s.log, Now: s.now,
	}
	if cfg.Mail.SMTPURL != "" {
		if people.Mail, err = auth.NewSMTP(cfg.Mail.SMTPURL, cfg.Mail.From); err != nil {
			return fmt.Errorf("prepare the sending of mail: %w", err)
		}
	}
	s.accounts = auth.NewAccounts(people)
	return nil
}

// Bounds on what a client may take before it has said who it is.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
)

func (s *server) httpServer(door *auth.OriginPolicy, traces *trace.Tracer) *http.Server {
	handler := (&api.Server{
		Rules: s.rules, Auth: s.auth, Accounts: s.accounts, Door: door, Socket: s.gateway, Web: web.Handler(),
		Ready: s.health.Ready, Database: reports{s.db}, DelayOwnEcho: s.hub.DelayOwnEcho,
		CORSOrigins: s.cfg.CORS.Origins, OldPage: s.cfg.Compat.CampusPanditPage, Log: s.log, Now: s.now, Trace: traces,
	}).Handler()
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Sockets leave by way of HTTP/1.1 (RFC 8441's way over HTTP/2 is not spoken).
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// run serves until ctx ends or the listener fails, then drains.
func (s *server) run(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.Background())
	failed := make(chan error, 2)
	go func() { failed <- s.accept(listener) }() // ends when drain shuts the HTTP server down
	mailing := make(chan struct{})
	go func() { // ends when background does
		defer close(mailing)
		s.accounts.Run(background)
	}()
	forgetting := make(chan struct{})
	go func() { // ends when background does
		defer close(forgetting)
		s.forget(background)
	}()
	stopCanary := s.startCanary(listener.Addr())
	s.log.Info("listening", "url", s.cfg.BaseURL()+"/messages", "auth", s.cfg.Auth.Mode)
	var err error
	select {
	case <-ctx.Done():
		s.watchReadiness(failed)
	case err = <-failed:
	}
	stopCanary()
	drain, cancel := context.WithTimeout(context.Background(), s.cfg.Drain.Timeout)
	defer cancel()
	s.gateway.Drain(drain, s.cfg.Drain.Window)
	stop()
	<-mailing
	<-forgetting
	return errors.Join(err, s.close(drain))
}

// watchReadiness says that no more traffic should come, and goes on for a while with what
// comes all the same: balancers take time to notice.
func (s *server) watchReadiness(failed <-chan error) {
	s.draining.Store(true)
	s.metrics.Node.Draining.Set(1)
	s.log.Info("draining", "delay", s.cfg.Drain.Delay, "window", s.cfg.Drain.Window, "sockets", s.gateway.Sockets())
	wait := time.NewTimer(s.cfg.Drain.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case err := <-failed:
		s.log.Error("the listener failed while draining", "err", err)
	}
}

func (s *server) accept(listener net.Listener) error {
	a := &acceptor{Listener: listener, sockets: s.gateway.Sockets, most: max(0, fileLimit()-reserve/2)}
	listener, s.http.ConnState = a, a.count
	var err error
	if cert := s.cfg.TLS.CertFile; cert != "" {
		err = s.http.ServeTLS(netpoll.Records(listener), cert, s.cfg.TLS.KeyFile)
	} else {
		err = s.http.Serve(listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// close ends the rooms in the opposite order: doors first, so that what they have
// taken is committed, told and answered.
func (s *server) close(ctx context.Context) error {
	var errs []error
	if s.http != nil {
		errs = append(errs, s.http.Shutdown(ctx))
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
	errs = append(errs, s.ops.close())
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	s.stopTracing(ctx)
	err := errors.Join(errs...)
	s.log.Info("stopped", "clean", err == nil)
	return err
}

// boundAddress is the address asked for with the port that the system chose for
// port 0, so that links lead there.
func boundAddress(asked string, bound net.Addr) string {
	host, _, err := net.SplitHostPort(asked)
	_, port, boundErr := net.SplitHostPort(bound.String())
	if err != nil || boundErr != nil {
		return asked
	}
	return net.JoinHostPort(host, port)
}

func storeOptions(cfg Config) store.Options {
	overflow := cfg.Pool.Overflow
	if overflow == 0 {
		overflow = -1 // none, where 0 means the default
	}
	return store.Options{URL: cfg.DatabaseURL, ReadURLs: cfg.DatabaseRead, Pool: store.Pool{
		Size: cfg.Pool.Size, Overflow: overflow,
		RequestTimeout: cfg.Pool.RequestTimeout, BackgroundTimeout: cfg.Pool.BackgroundTimeout,
		MaxLifetime: cfg.Pool.MaxLifetime, MaxIdleTime: cfg.Pool.MaxIdleTime,
	}, HoldSoft: cfg.DB.HoldSoft, HoldHard: cfg.DB.HoldHard, SlowQuery: cfg.DB.SlowQuery, NoPlans: cfg.DB.Plans == "off"}
}

// openStore opens the database for a command that runs beside the server.
func openStore(ctx context.Context, cfg Config) (auth.Store, func() error, error) {
	options := storeOptions(cfg)
	options.SharedOpen = true
	options.Pool.Size, options.Pool.Overflow = 2, -1
	db, err := store.Open(ctx, options)
	if err != nil {
		return nil, nil, fmt.Errorf("open the database: %w", err)
	}
	return db, db.Close, nil
}
