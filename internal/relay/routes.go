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
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// routes are the ways to the other nodes. Names are looked up here, again and again:
// NATS would take one address of many, and nodes come and go.
type routes struct {
	link  *link
	host  string
	port  int
	token string // by which this process comes in; nobody else does
	tls   *tls.Config

	known map[string][]string // addresses by name, as they were found last
	tried []string            // what NATS tries now
}

const (
	lookEvery   = 2 * time.Second
	lookTimeout = 2 * time.Second
	// routeRetries is how often NATS tries a node that it was told of by another.
	routeRetries = 60
)

func splitAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("read the address for other nodes: %w", err)
	}
	port, err = strconv.Atoi(text)
	if err != nil {
		return "", 0, fmt.Errorf("read the address for other nodes: %w", err)
	}
	return host, port, nil
}

// options are new ones each time: NATS keeps and changes them.
func (r *routes) options(to []string) *server.Options {
	n := r.link.node
	o := &server.Options{
		ServerName: n.id, NoSigs: true, NoLog: true, NoSystemAccount: true,
		// Without a listener NATS would have no routes. This one is of no use to anybody.
		Host: "127.0.0.1", Port: server.RANDOM_PORT, Authorization: r.token, MaxConn: 8,
		MaxPayload: headerSize + bodyMost + 1024, MaxPending: pendingMost, WriteDeadline: writeTimeout,
		PingInterval: linkPing, MaxPingsOut: linkPings,
		Cluster: server.ClusterOpts{
			Name: "chowk", Host: r.host, Port: r.port, Username: clusterUser, Password: n.config.Link.Secret, TLSConfig: r.tls,
			TLSTimeout: lookTimeout.Seconds(), AuthTimeout: lookTimeout.Seconds(), PoolSize: -1, Compression: server.CompressionOpts{Mode: server.CompressionOff},
			PingInterval: linkPing, MaxPingsOut: linkPings, WriteDeadline: writeTimeout, ConnectRetries: routeRetries,
		},
	}
	if o.Cluster.Port == 0 {
		o.Cluster.Port = server.RANDOM_PORT
	}
	for _, address := range to {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats-route", Host: address, User: url.UserPassword(clusterUser, n.config.Link.Secret)})
	}
	r.tried = to
	return o
}

// run looks for nodes that came and went until ctx ends.
func (r *routes) run(ctx context.Context) {
	if len(r.link.node.config.Link.Routes) == 0 {
		return
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		to := r.look(ctx)
		if ctx.Err() != nil || slices.Equal(to, r.tried) {
			continue
		}
		r.link.node.config.Log.Info("other nodes are looked for", "at", to)
		if err := r.link.server.ReloadOptions(r.options(to)); err != nil {
			r.link.node.config.Log.Error("look for other nodes", "err", err)
		}
	}
}

// look gives the addresses of the other nodes, in order. A name that is not known
// just now keeps those that it had.
func (r *routes) look(ctx context.Context) (to []string) {
	if r.known == nil {
		r.known = make(map[string][]string)
	}
	own := ownAddresses()
	for _, name := range r.link.node.config.Link.Routes {
		host, port, err := net.SplitHostPort(name)
		if err != nil {
			continue // it was looked at before
		}
		if net.ParseIP(host) == nil {
			if found, err := lookUp(ctx, host); err == nil {
				r.known[name] = found
			} else if _, known := r.known[name]; !known {
				r.known[name] = nil
				r.link.node.config.Log.Warn("look up the other nodes", "name", host, "err", err)
			}
		} else {
			r.known[name] = []string{host}
		}
		for _, ip := range r.known[name] {
			if isSelf := own[ip] && port == strconv.Itoa(r.port); !isSelf {
				to = append(to, net.JoinHostPort(ip, port))
			}
		}
	}
	slices.Sort(to)
	return slices.Compact(to)
}

// lookUp finds no address where the name says that there is none.
func lookUp(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
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

// natsLog takes what the NATS in the process says. Most of it is of no interest to
// whoever runs chowk; what keeps nodes apart is, once in a while.
type natsLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards what follows
	last map[string]time.Time
}

const sameLogged = 30 * time.Second

// Noticef is server.Logger's.
func (l *natsLog) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }

// Warnf is server.Logger's.
func (l *natsLog) Warnf(format string, v ...any) { l.rateLimited(slog.LevelDebug, format, v) }

// Errorf is server.Logger's.
func (l *natsLog) Errorf(format string, v ...any) { l.rateLimited(slog.LevelDebug, format, v) }

// Fatalf is server.Logger's. The start fails of what it says.
func (l *natsLog) Fatalf(format string, v ...any) { l.rateLimited(slog.LevelError, format, v) }

// Debugf is server.Logger's.
func (*natsLog) Debugf(string, ...any) {}

// Tracef is server.Logger's.
func (*natsLog) Tracef(string, ...any) {}

// rateLimited logs what people must know as a warning, and the same not again for a
// while.
func (l *natsLog) rateLimited(level slog.Level, format string, v []any) {
	text := fmt.Sprintf(format, v...)
	class := ""
	for _, c := range []struct{ word, means string }{
		{"uthoriz", "a node with another secret was refused, or refused this one"},
		{"uthentication", "a node with another secret was refused, or refused this one"},
		{"TLS", "nodes do not trust each other's certificates"},
		{"x509", "nodes do not trust each other's certificates"},
		{"luster name", "something that is no chowk wants to be a node"},
		{"low Consumer", "a node does not take what it is sent"},
	} {
		if strings.Contains(text, c.word) {
			class, level = c.means, slog.LevelWarn
			break
		}
	}
	if class != "" && !l.due(class) {
		return
	}
	l.log.Log(context.Background(), level, "relay: "+class, "nats", text)
}

func (l *natsLog) due(class string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = make(map[string]time.Time)
	}
	if time.Since(l.last[class]) < sameLogged {
		return false
	}
	l.last[class] = time.Now()
	return true
}
