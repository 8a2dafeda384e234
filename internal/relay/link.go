package relay

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/internal/async"
)

// Link says how nodes are connected: by the NATS server in each of them (Listen), or by
// an external one (URL).
type Link struct {
	// Listen is the address to which other nodes connect; port 0 is any free port.
	Listen string
	// Routes are the addresses of the other nodes, host:port. A name may resolve to many
	// nodes, including this one.
	Routes []string
	// URL is that of an external NATS: the servers of one cluster.
	URL []string
	// Secret authenticates nodes. For an external NATS it is the token, unless the URL
	// has a user.
	Secret string
	// CredentialsFile has the credentials of a NATS user, for an external NATS.
	CredentialsFile string
	// TLSCertFile and TLSKeyFile authenticate this node, TLSCAFile the others (PEM). With them
	// messages are encrypted. For an external NATS each is optional.
	TLSCertFile, TLSKeyFile, TLSCAFile string
}

// IsSet reports whether there is a link. A node without one neither sends nor receives
// messages, and reads what other nodes commit from the database.
func (c Link) IsSet() bool { return c.Listen != "" || len(c.URL) > 0 }

// link is a connection to a NATS server, and that server if it is in this process.
type link struct {
	config Link
	log    *slog.Logger
	events linkEvents
	server *server.Server // nil for an external NATS
	conn   *nats.Conn
	routes *routes // nil for an external NATS
}

// linkEvents are called when something happens outside of a call.
type linkEvents struct {
	linked func(bool)  // the connection was established or lost
	failed func(error) // anything else
}

const (
	readyTimeout   = 5 * time.Second
	connectTimeout = 2 * time.Second
	linkPing       = time.Second // a dead link is noticed after three of them
	maxLinkPings   = 2
	writeTimeout   = 2 * time.Second
	reconnectWait  = 250 * time.Millisecond
	// maxPending bounds what the NATS in this process keeps for a node that does not
	// receive it. Beyond that the node is disconnected, and reads the rest from the
	// database.
	maxPending  = 128 << 20
	clusterUser = "chowk"
)

// openLink connects to NATS. It starts the NATS in this process unless there is an
// external one. node is this node's id.
func openLink(c Link, node string, log *slog.Logger, events linkEvents) (*link, error) {
	l := &link{config: c, log: log, events: events}
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, err
	}
	options := l.options(node)
	if len(c.URL) == 0 {
		if err := l.serve(node, tlsConfig); err != nil {
			return nil, err
		}
		options = append(options, nats.InProcessServer(l.server), nats.Token(l.routes.token))
	} else {
		options = append(options, c.credentials()...)
		if tlsConfig != nil {
			options = append(options, nats.Secure(tlsConfig))
		}
	}
	if l.conn, err = nats.Connect(strings.Join(c.URL, ","), options...); err != nil {
		l.close()
		return nil, fmt.Errorf("connect to NATS: %w", err)
	}
	if !l.conn.IsConnected() {
		events.linked(false)
	}
	return l, nil
}

// credentials returns what authenticates this node to an external NATS.
func (c Link) credentials() (options []nats.Option) {
	if c.Secret != "" {
		options = append(options, nats.Token(c.Secret))
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	return options
}

func (l *link) options(node string) []nats.Option {
	return []nats.Option{
		nats.Name("chowk " + node), nats.NoEcho(), nats.Timeout(connectTimeout),
		nats.PingInterval(linkPing), nats.MaxPingsOutstanding(maxLinkPings), nats.FlusherTimeout(writeTimeout),
		nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectWait, reconnectWait),
		// What cannot be sent now is not sent later: by then the other nodes have read it
		// from the database.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { l.events.failed(err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.log.Warn("relay: lost the connection to NATS", "err", err)
				l.events.linked(false)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { l.events.linked(true) }),
		nats.ConnectHandler(func(*nats.Conn) { l.events.linked(true) }),
	}
}

// serve starts the NATS in this process.
func (l *link) serve(node string, tlsConfig *tls.Config) error {
	address := l.config.Listen
	host, port, err := splitAddress(address)
	if err != nil {
		return err
	}
	l.routes = &routes{
		config: l.config, log: l.log, node: node, host: host, port: port, token: rand.Text(), tls: tlsConfig,
		resolved: make(map[string][]string),
	}
	if err := checkAvailable(address); err != nil {
		return err
	}
	s, err := server.NewServer(l.routes.options(l.routes.resolve(context.Background())))
	if err != nil {
		return fmt.Errorf("configure the NATS in this process: %w", err)
	}
	s.SetLoggerV2(&natsLog{log: l.log}, false, false, false)
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		s.Shutdown()
		return fmt.Errorf("listen for other nodes on %s: not ready after %v", address, readyTimeout)
	}
	l.server = s
	return nil
}

// checkAvailable returns an error if an address cannot be listened on. Its text is better
// than that of NATS.
func checkAvailable(address string) error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for other nodes on %s: %w", address, err)
	}
	return listener.Close()
}

// String describes the link for operators.
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
		l.routes.run(ctx, l.server)
	}
}

const (
	flushTimeout  = 500 * time.Millisecond
	flushInterval = 5 * time.Millisecond
)

// flush waits until what was published has left this process, until ctx ends or
// flushTimeout is over.
func (l *link) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	if err := l.conn.FlushWithContext(ctx); err != nil || l.server == nil {
		return
	}
	for l.pendingBytes() > 0 && async.Sleep(ctx, flushInterval) {
	}
}

// pendingBytes returns what the NATS in this process has to send to other nodes.
func (l *link) pendingBytes() (pending int) {
	r, err := l.server.Routez(nil)
	if err != nil {
		return 0
	}
	for _, route := range r.Routes {
		pending += route.Pending
	}
	return pending
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
