package chowk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/ops"
)

// Limits of a client that has not authenticated yet.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 16 << 10
)

// Serve answers requests on public and, unless it is nil, on operations, the listener
// for operators. When ctx ends or a listener fails, it drains and closes the server as
// [DrainConfig] says. It closes the listeners.
func (s *Server) Serve(ctx context.Context, public, operations net.Listener) error {
	s.serveOperations(operations)
	failed := make(chan error, 1)
	go func() { failed <- s.accept(public) }() // ends when Close shuts the HTTP server down
	stopCanary := s.startCanary(public.Addr())
	s.log.Info("listening", "url", s.cfg.BaseURL()+"/messages", "address", public.Addr().String(), "auth", s.cfg.Auth.Mode)
	var err error
	select {
	case <-ctx.Done():
		err = s.waitForBalancers(failed)
	case err = <-failed:
	}
	stopCanary()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Drain.Timeout)
	defer cancel()
	return errors.Join(err, s.Close(ending))
}

// waitForBalancers announces that no more traffic should come, and keeps serving for a
// while: load balancers take time to notice.
func (s *Server) waitForBalancers(failed <-chan error) error {
	s.announceDrain()
	wait := time.NewTimer(s.cfg.Drain.Delay)
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case err := <-failed:
		return err
	}
}

// httpServer returns the server for the public listener.
func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Sockets need HTTP/1.1: those of HTTP/2 (RFC 8441) are not supported.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

// accept serves the public listener until the HTTP server is shut down.
func (s *Server) accept(public net.Listener) error {
	a := &acceptor{Listener: public, sockets: s.gateway.Sockets, max: max(0, fileLimit()-reservedFiles/2)}
	s.public.ConnState = a.count
	var err error
	if s.certificate != nil {
		s.public.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*s.certificate}}
		err = s.public.ServeTLS(netpoll.Records(a), "", "")
	} else {
		err = s.public.Serve(a)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// serveOperations starts to answer on l, unless it is nil.
func (s *Server) serveOperations(l net.Listener) {
	if l == nil {
		return
	}
	s.operating.Go(func() { // ends when closeOperations closes the HTTP server
		if err := ops.Serve(s.operations, l); err != nil {
			s.log.Error("operations", "err", err)
		}
	})
	s.log.Info("operations", "url", "http://"+l.Addr().String())
}

func (s *Server) closeOperations() error {
	err := s.operations.Close()
	s.operating.Wait()
	return err
}
