package chowk

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/chowk-chat/chowk/internal/api"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/gateway"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/journal"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/store"
	"github.com/chowk-chat/chowk/internal/trace"
	"github.com/chowk-chat/chowk/web"
)

// build creates the parts of the server, each after those that it depends on.
func (s *Server) build(ctx context.Context) (err error) {
	if err := s.loadCertificate(); err != nil {
		return err
	}
	sockets, err := socketLimit(s.cfg.Limits.Sockets)
	if err != nil {
		return err
	}
	traces, err := s.startTracing(ctx)
	if err != nil {
		return err
	}
	if err := s.openDatabase(ctx, traces); err != nil {
		return err
	}
	if err := s.buildAuth(); err != nil {
		return err
	}
	if s.relay, err = s.newRelay(ctx); err != nil {
		return err
	}
	s.startCore(traces)
	if err := s.startGateway(sockets, traces); err != nil {
		return err
	}
	s.auth.OnRevoke = s.gateway.Revoke
	if s.relay != nil {
		s.auth.OnRevoked = s.relay.Revoked
		if err := s.relay.Start(ctx, s.hub); err != nil {
			return fmt.Errorf("start the relay: %w", err)
		}
	}
	s.health = s.checks(sockets)
	s.describe(sockets)
	s.handler = s.publicHandler(traces)
	s.public = s.httpServer()
	s.operations = s.operationsServer()
	return nil
}

// loadCertificate reads the certificate of the public listener, if there is one.
func (s *Server) loadCertificate() error {
	if s.cfg.TLS.CertFile == "" {
		return nil
	}
	certificate, err := tls.LoadX509KeyPair(s.cfg.TLS.CertFile, s.cfg.TLS.KeyFile)
	if err != nil {
		return fmt.Errorf("load the certificate of tls.cert-file and tls.key-file: %w", err)
	}
	s.certificate = &certificate
	return nil
}

func (s *Server) openDatabase(ctx context.Context, traces *trace.Tracer) (err error) {
	options := storeOptions(&s.cfg)
	options.Observer, options.Log, options.Trace = s.metrics.Store, s.log, traces
	options.UserChanged = s.userChanged
	if s.db, err = store.Open(ctx, options); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	s.metrics.Pool.Watch(func() metric.PoolStats { return poolNumbers(s.db) })
	s.log.Info("database open", "kind", s.db.Kind(), "durability", s.db.Durability(), "epoch", s.db.Epoch())
	return nil
}

// startCore starts what every change goes through: rules, journal and hub.
func (s *Server) startCore(traces *trace.Tracer) {
	h := hub.Config{
		Store: s.db, Metrics: s.metrics.Hub, Log: s.log, Now: s.now,
		RingBytes: s.cfg.Ring.Bytes, Deflate: int(s.cfg.Deflate),
	}
	if s.relay != nil {
		h.Relay = s.relay
	}
	s.hub = hub.Start(h)
	var publisher journal.Publisher = s.hub
	if s.relay != nil {
		publisher = s.relay
	}
	s.journal = journal.Start(journal.Config{
		Store: s.db, Publisher: publisher, Metrics: s.metrics.Journal, Log: s.log,
		Workers: s.journalWorkers(), Trace: traces, TraceFanout: s.hub.TraceFanout,
	})
	s.rules = &command.Service{Journal: s.journal, Store: s.db, Realtime: s.hub, Now: s.now}
}

// journalWorkers returns how many groups are committed at a time. On SQLite a second
// worker would only wait for the first, and refuse its own group when that takes long.
func (s *Server) journalWorkers() int {
	if s.cfg.embedded() {
		return 1
	}
	return s.cfg.Journal.Workers
}

func (s *Server) startGateway(sockets int, traces *trace.Tracer) (err error) {
	cfg := &s.cfg
	s.poller, err = netpoll.New(netpoll.Options{
		Driver: cfg.driver(), Heartbeat: cfg.Heartbeat, PartialTimeout: cfg.Limits.MessageReadTimeout,
	})
	if err != nil {
		return fmt.Errorf("start the poller: %w", err)
	}
	s.log.Info("transport ready", "driver", s.poller.Driver(), "max_sockets", sockets)
	s.origins = &auth.OriginPolicy{Origins: cfg.Origins, PublicURL: cfg.PublicURL, Proxies: cfg.TrustedProxies}
	s.gateway = gateway.New(gateway.Config{
		Commands: s.rules, Hub: s.hub, Auth: s.auth, Origins: s.origins, Poller: s.poller,
		Metrics: s.metrics.Gateway, Trace: traces, Log: s.log, Now: s.now,
		Epoch: s.db.Epoch(), Durability: s.db.Durability(), Heartbeat: cfg.Heartbeat,
		LegacyPage: cfg.Compat.CampusPanditPage, Deflate: cfg.Deflate > 0, Limits: gatewayLimits(&cfg.Limits, sockets),
	})
	return nil
}

func gatewayLimits(l *LimitsConfig, sockets int) gateway.Limits {
	return gateway.Limits{
		Sockets: sockets, SocketsPerUser: l.SocketsPerUser, SocketsPerAddress: l.SocketsPerAddress,
		HandshakesPerSecond: l.HandshakesPerSecond,
		CommandsPerSecond:   l.CommandsPerSecond, CommandsBurst: l.CommandsBurst,
		UserCommandsPerSecond: l.UserCommandsPerSecond, UserCommandsBurst: l.UserCommandsBurst,
		ControlFramesPerSecond: l.ControlFramesPerSecond, PartialBytes: int(l.PartialBytes),
		Frame: frame.Limits{Message: int(l.MessageBytes), Frame: int(l.FrameBytes), Fragments: l.Fragments},
	}
}

func (s *Server) buildAuth() (err error) {
	cfg := &s.cfg.Auth
	var verifier *auth.Verifier
	if cfg.JWTSecret != "" || cfg.JWTKeyFile != "" || cfg.JWKSURL != "" {
		verifier, err = auth.NewVerifier(s.background, auth.VerifierOptions{
			Secret: cfg.JWTSecret, KeyFile: cfg.JWTKeyFile, JWKSURL: cfg.JWKSURL,
			Issuer: cfg.JWTIssuer, Audience: cfg.JWTAudience, Log: s.log, Now: s.now,
		})
		if err != nil {
			return fmt.Errorf("prepare the check of tokens: %w", err)
		}
	}
	s.auth = auth.New(auth.Options{Mode: auth.Mode(cfg.Mode), Store: s.db, Verifier: verifier, Now: s.now})
	accounts := auth.AccountsOptions{
		Store: s.db, Auth: s.auth, Signup: auth.Signup(cfg.Signup), SessionTTL: cfg.SessionTTL,
		PublicURL: s.cfg.BaseURL(), Log: s.log, Now: s.now,
	}
	if mail := &s.cfg.Mail; mail.SMTPURL != "" {
		if accounts.Mail, err = auth.NewSMTP(mail.SMTPURL, mail.From); err != nil {
			return fmt.Errorf("prepare the sending of email: %w", err)
		}
	}
	s.accounts = auth.NewAccounts(accounts)
	return nil
}

func (s *Server) publicHandler(traces *trace.Tracer) http.Handler {
	return (&api.Server{
		Rules: s.rules, Auth: s.auth, Accounts: s.accounts, Door: s.origins, Socket: s.gateway, Web: web.Handler(),
		Ready: s.health.Ready, Database: reports{s.db}, DelayOwnEcho: s.hub.DelayOwnEcho,
		CORSOrigins: s.cfg.CORS.Origins, OldPage: s.cfg.Compat.CampusPanditPage, Log: s.log, Now: s.now, Trace: traces,
	}).Handler()
}

func storeOptions(cfg *Config) store.Options {
	pool := store.Pool(cfg.Pool)
	if pool.Overflow == 0 {
		pool.Overflow = -1 // none, where 0 means the default
	}
	return store.Options{
		URL: cfg.DatabaseURL, ReadURLs: cfg.DatabaseRead, Pool: pool,
		HoldSoft: cfg.DB.HoldSoft, HoldHard: cfg.DB.HoldHard, SlowQuery: cfg.DB.SlowQuery, NoPlans: cfg.DB.Plans == "off",
	}
}
