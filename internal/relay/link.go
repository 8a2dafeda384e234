package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Link says how nodes are connected: by the NATS in each of them (Listen), or by one
// elsewhere (URL).
type Link struct {
	// Listen is the address for the routes of the other nodes; port 0 is any.
	Listen string
	// Routes are the other nodes, host:port. A name may stand for many, and for this
	// one as well.
	Routes []string
	// URL is of a NATS elsewhere, with commas between those of one cluster.
	URL string
	// Secret is what nodes know each other by; of a NATS elsewhere the token, unless
	// the URL has a user.
	Secret string
	// CredentialsFile is a NATS user's, for a NATS elsewhere.
	CredentialsFile string
	// CertFile and KeyFile prove who a node is, CAFile who may be one (PEM). With them
	// what nodes say is encrypted. For a NATS elsewhere each may be left out.
	CertFile, KeyFile, CAFile string
}

// IsSet is false for a node to which the others say nothing, and which says nothing:
// what they commit it has from the database.
func (c Link) IsSet() bool { return c.Listen != "" || c.URL != "" }

// link is a connection to a NATS, and that NATS when it is in the process.
type link struct {
	node   *Node
	server *server.Server // nil when it is elsewhere
	conn   *nats.Conn
	routes *routes // nil when it is elsewhere
}

const (
	readyTimeout   = 5 * time.Second
	connectTimeout = 2 * time.Second
	linkPing       = time.Second // so a link that is dead is noticed after three of them
	linkPings      = 2
	writeTimeout   = 2 * time.Second
	reconnectWait  = 250 * time.Millisecond
	// pendingMost bounds what the NATS in the process keeps for a node that does not
	// take it; then that node is cut off, and finds the rest in the database.
	pendingMost = 128 << 20
	clusterUser = "chowk"
)

func open(n *Node) (*link, error) {
	l := &link{node: n}
	tlsConfig, err := n.config.Link.tls()
	if err != nil {
		return nil, err
	}
	url, options := n.config.Link.URL, l.options()
	if url == "" {
		if err := l.serve(tlsConfig); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(l.server), nats.Token(l.routes.token))
	} else {
		options = append(options, n.config.Link.authority()...)
		if tlsConfig != nil {
			options = append(options, nats.Secure(tlsConfig))
		}
	}
	if l.conn, err = nats.Connect(url, options...); err != nil {
		l.close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if !l.conn.IsConnected() {
		n.peers.setLinked(false)
	}
	return l, nil
}

// authority is by what a NATS elsewhere knows this node.
func (c Link) authority() (options []nats.Option) {
	if c.Secret != "" {
		options = append(options, nats.Token(c.Secret))
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	return options
}

func (l *link) options() []nats.Option {
	n := l.node
	return []nats.Option{
		nats.Name("chowk " + n.id), nats.NoEcho(), nats.Timeout(connectTimeout), nats.PingInterval(linkPing), nats.MaxPingsOutstanding(linkPings),
		nats.FlusherTimeout(writeTimeout), nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		// What cannot be sent now is not worth to be sent later: the others have it
		// from the database by then.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(n.failed),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				n.config.Log.Warn("relay: the connection to NATS is lost", "err", err)
				n.peers.setLinked(false)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { n.peers.setLinked(true) }),
		nats.ConnectHandler(func(*nats.Conn) { n.peers.setLinked(true) }),
	}
}

// tls is nil when there are no certificates. Who has one that the authority signed
// is a node, whatever its address: addresses come and go.
func (c Link) tls() (*tls.Config, error) {
	if c.CertFile == "" && c.CAFile == "" {
		return nil, nil //nolint:nilnil // none is no error
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("load the relay's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the relay's certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the relay's certificate authority: no certificate in %s", c.CAFile)
	}
	config.RootCAs, config.ClientCAs = pool, pool
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if c.URL == "" {
		config.InsecureSkipVerify = true //nolint:gosec // instead, the chain is verified, without the name
		config.VerifyConnection = func(s tls.ConnectionState) error { return signedBy(pool, s) }
	}
	return config, nil
}

func signedBy(pool *x509.CertPool, s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return errors.New("a node without a certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

// serve starts the NATS in the process.
func (l *link) serve(tlsConfig *tls.Config) error {
	host, port, err := splitAddress(l.node.config.Link.Listen)
	if err != nil {
		return err
	}
	l.routes = &routes{link: l, host: host, port: port, token: rand.Text(), tls: tlsConfig}
	if err := free(l.node.config.Link.Listen); err != nil {
		return err
	}
	s, err := server.NewServer(l.routes.options(l.routes.look(context.Background())))
	if err != nil {
		return fmt.Errorf("prepare the NATS in the process: %w", err)
	}
	s.SetLoggerV2(&natsLog{log: l.node.config.Log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		s.Shutdown()
		return fmt.Errorf("listen for other nodes on %s: not ready in time", l.node.config.Link.Listen)
	}
	l.server = s
	return nil
}

// free tells early, and better than NATS would, that an address cannot be listened
// on.
func free(address string) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for other nodes on %s: %w", address, err)
	}
	return listener.Close()
}

func (l *link) String() string {
	if l.server == nil {
		return "NATS at " + l.conn.ConnectedUrlRedacted()
	}
	return "routes on " + l.routeAddress()
}

func (l *link) routeAddress() string {
	if l.server == nil {
		return ""
	}
	if a := l.server.ClusterAddr(); a != nil {
		return a.String()
	}
	return ""
}

// discover looks for other nodes until ctx ends.
func (l *link) discover(ctx context.Context) {
	if l.routes != nil {
		l.routes.run(ctx)
	}
}

const flushGlance = 5 * time.Millisecond

// flush waits until what was published has left this process, or ctx ends, or a
// moment is over.
func (l *link) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout/10)
	defer cancel()
	if err := l.conn.FlushWithContext(ctx); err != nil || l.server == nil {
		return
	}
	for ctx.Err() == nil {
		r, err := l.server.Routez(nil)
		if err != nil {
			return
		}
		pending := 0
		for _, route := range r.Routes {
			pending += route.Pending
		}
		if pending == 0 {
			return
		}
		select {
		case <-time.After(flushGlance):
		case <-ctx.Done():
		}
	}
}

func (l *link) close() {
	if l.conn != nil {
		l.conn.Close()
	}
	if l.server != nil {
		l.server.Shutdown()
		l.server.WaitForShutdown()
	}
}
