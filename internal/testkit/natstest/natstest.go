// Package natstest runs NATS servers for tests.
package natstest

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/testkit"
)

// Server is a NATS server in this process. It can be stopped, and started again at
// the same address.
type Server struct {
	Address string

	t       testing.TB
	options server.Options
	server  *server.Server
}

const startTimeout = 60 * time.Second

// Start starts a server on a free loopback address until the test ends.
func Start(t testing.TB, o server.Options) *Server {
	t.Helper()
	return StartAt(t, testkit.FreeAddress(t), o)
}

// StartAt is Start with an address.
func StartAt(t testing.TB, address string, o server.Options) *Server {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	o.Host, o.Port, o.NoSigs, o.NoLog = host, port, true, true
	s := &Server{Address: address, t: t, options: o}
	s.Start()
	t.Cleanup(func() { s.Stop() })
	return s
}

// URL is the server's, for relay.url.
func (s *Server) URL() string { return "nats://" + s.Address }

// Start starts the server after Stop.
func (s *Server) Start() {
	o := s.options // NATS changes what it is given
	var err error
	if s.server, err = server.NewServer(&o); err != nil {
		s.t.Errorf("start NATS: %v", err)
		return
	}
	s.server.Start()
	if !s.server.ReadyForConnections(startTimeout) {
		s.t.Error("NATS does not start")
	}
}

// Stop stops the server and cuts its connections.
func (s *Server) Stop() {
	if s.server != nil {
		s.server.Shutdown()
		s.server.WaitForShutdown()
	}
}
