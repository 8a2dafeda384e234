package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/chowk-chat/chowk/internal/async"
)

// routes are the connections to other nodes. It resolves names itself, again and again:
// NATS would use one address of many, and nodes come and go.
type routes struct {
	config   Link
	log      *slog.Logger
	node     string // this node's id
	host     string
	port     int
	token    string // authenticates this process to its NATS
	tls      *tls.Config
	resolved map[string][]string // the last known addresses of each name
	current  []string            // the addresses that NATS connects to
}

const (
	resolveInterval = 2 * time.Second
	resolveTimeout  = 2 * time.Second
	routeTimeout    = 2 * time.Second
	// maxRouteRetries is how often NATS tries to connect to a node that another one
	// reported.
	maxRouteRetries = 60
)

// splitAddress splits host:port.
func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("parse the address for other nodes: %w", err)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0, fmt.Errorf("parse the address for other nodes: %w", err)
	}
	return host, port, nil
}

// options returns the options of a NATS that connects to addresses. They are new ones
// each time, because NATS keeps and changes them.
func (r *routes) options(addresses []string) *server.Options {
	o := &server.Options{
		ServerName: r.node, NoSigs: true, NoLog: true, NoSystemAccount: true,
		// NATS has no routes without a listener for clients. No one can log in to this one
		// except this process.
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: r.token, MaxConn: 8,
		MaxPayload: headerSize + maxBody + 1024, MaxPending: maxPending, WriteDeadline: writeTimeout,
		PingInterval: linkPing, MaxPingsOut: maxLinkPings,
		Cluster: server.ClusterOpts{
			Name: "chowk", Host: r.host, Port: r.port, Username: clusterUser, Password: r.config.Secret, TLSConfig: r.tls,
			TLSTimeout: routeTimeout.Seconds(), AuthTimeout: routeTimeout.Seconds(), PoolSize: -1,
			Compression:  server.CompressionOpts{Mode: server.CompressionOff},
			PingInterval: linkPing, MaxPingsOut: maxLinkPings, WriteDeadline: writeTimeout, ConnectRetries: maxRouteRetries,
		},
	}
	if o.Cluster.Port == 0 {
		o.Cluster.Port = server.RANDOM_PORT
	}
	for _, address := range addresses {
		user := url.UserPassword(clusterUser, r.config.Secret)
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: address, User: user})
	}
	r.current = addresses
	return o
}

// run has NATS connect to nodes as their addresses change, until ctx ends.
func (r *routes) run(ctx context.Context, s *server.Server) {
	if len(r.config.Routes) == 0 {
		return
	}
	async.Every(ctx, resolveInterval, func() {
		addresses := r.resolve(ctx)
		if ctx.Err() != nil || slices.Equal(addresses, r.current) {
			return
		}
		r.log.Info("connecting to other nodes", "addresses", addresses)
		if err := s.ReloadOptions(r.options(addresses)); err != nil {
			r.log.Error("connect to other nodes", "err", err)
		}
	})
}

// resolve returns the addresses of the other nodes, in order. A name that cannot be
// resolved keeps its last known addresses.
func (r *routes) resolve(ctx context.Context) (addresses []string) {
	own := ownAddresses()
	for _, name := range r.config.Routes {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			continue // the configuration was checked before
		}
		for _, ip := range r.resolveHost(ctx, name, host) {
			if isSelf := own[ip] && port == strconv.Itoa(r.port); !isSelf {
				addresses = append(addresses, net.JoinHostPort(ip, port))
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// resolveHost returns the addresses of the host in one of the routes.
func (r *routes) resolveHost(ctx context.Context, route, host string) []string {
	if net.ParseIP(host) != nil {
		return []string{host}
	}
	found, err := lookUpHost(ctx, host)
	if _, known := r.resolved[route]; err == nil {
		r.resolved[route] = found
	} else if !known {
		r.resolved[route] = nil
		r.log.Warn("resolve the name of other nodes", "name", host, "err", err)
	}
	return r.resolved[route]
}

// lookUpHost returns no address and no error for a name that does not exist.
func lookUpHost(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupHost(ctx, host)
	var none *net.DNSError
	if errors.As(err, &none) && none.IsNotFound {
		return nil, nil
	}
	return found, err
}

func ownAddresses() map[string]bool {
	own := make(map[string]bool)
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return own
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok {
			own[n.IP.String()] = true
		}
	}
	return own
}
