package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/chowk-chat/chowk/internal/async"
)

// ProbeResult is what Probe found.
type ProbeResult struct {
	Server string // version of NATS
	// Unreachable are addresses of other nodes that accept no connection, Refused those
	// that accept one but through which no node joined, each with the reason.
	Unreachable, Refused map[string]string
	Problems             []string          // warnings of NATS
	Nodes                map[string]string // versions of the nodes that were heard, by id
	// RoundTrip is the longest to a node, or that to an external NATS; 0 when there is
	// none.
	RoundTrip time.Duration
}

const (
	probeTimeout = 4 * time.Second
	// probeAfterFirst is the time in which all nodes send a heartbeat once one has.
	probeAfterFirst = 1200 * time.Millisecond
	dialTimeout     = 2 * time.Second
)

// Probe joins the nodes of a cluster for some seconds, and returns those that it hears.
// It sends them nothing. The error is about an external NATS that accepts no connection.
func Probe(ctx context.Context, cluster string, l Link) (r ProbeResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout+dialTimeout)
	defer cancel()
	r = ProbeResult{
		Unreachable: make(map[string]string), Refused: make(map[string]string), Nodes: make(map[string]string),
	}
	if l.Listen != "" {
		l.Listen = "127.0.0.1:0" // other nodes must not connect
	}
	var logged warnings
	events := linkEvents{linked: func(bool) {}, failed: func(error) {}}
	link, err := openLink(l, newNodeID().String(), slog.New(&logged), events)
	if err != nil {
		return r, err
	}
	defer link.close()
	if link.server == nil {
		err = r.probeExternal(ctx, clusterID(cluster), link)
	} else {
		err = r.probeNodes(ctx, clusterID(cluster), link)
	}
	r.Problems = logged.all()
	return r, err
}

// probeExternal probes an external NATS.
func (r *ProbeResult) probeExternal(ctx context.Context, cluster clusterID, l *link) error {
	connecting, cancel := context.WithTimeout(ctx, connectTimeout+time.Second)
	defer cancel()
	for !l.conn.IsConnected() {
		if !async.Sleep(connecting, flushInterval) {
			return cmp.Or(l.conn.LastError(), reachAny(ctx, l.config.URL), errors.New("NATS does not respond"))
		}
	}
	r.Server = l.conn.ConnectedServerVersion()
	var err error
	if r.RoundTrip, err = l.conn.RTT(); err != nil {
		return fmt.Errorf("measure the round trip to NATS: %w", err)
	}
	return r.listen(ctx, cluster, l)
}

// probeNodes probes the NATS of each node.
func (r *ProbeResult) probeNodes(ctx context.Context, cluster clusterID, l *link) error {
	r.Server = l.server.ID()
	if v, err := l.server.Varz(nil); err == nil {
		r.Server = v.Version
	}
	reachable := make(map[string]bool)
	for _, address := range l.routes.current {
		if err := reach(ctx, address); err != nil {
			r.Unreachable[address] = err.Error()
			continue
		}
		reachable[address] = true
	}
	if err := r.listen(ctx, cluster, l); err != nil {
		return err
	}
	return r.checkRoutes(l, reachable)
}

// checkRoutes determines which of the reachable addresses no node joined through.
func (r *ProbeResult) checkRoutes(l *link, reachable map[string]bool) error {
	routes, err := l.server.Routez(nil)
	if err != nil {
		return fmt.Errorf("list the routes: %w", err)
	}
	joined := make(map[string]bool)
	for _, route := range routes.Routes {
		joined[route.RemoteName] = true
		delete(reachable, net.JoinHostPort(route.IP, fmt.Sprint(route.Port)))
		if trip, err := time.ParseDuration(route.RTT); err == nil {
			r.RoundTrip = max(r.RoundTrip, trip)
		}
	}
	if len(joined) >= len(l.routes.current)-len(r.Unreachable) {
		return nil // some nodes connected to this one
	}
	for address := range reachable {
		r.Refused[address] = "accepts connections, but no node joined through it"
	}
	return nil
}

// reachAny returns nil if one of the servers accepts a connection, and otherwise why the
// last one does not.
func reachAny(ctx context.Context, urls []string) (err error) {
	for _, text := range urls {
		u, parseErr := url.Parse(strings.TrimSpace(text))
		if parseErr != nil {
			continue // the configuration was checked before
		}
		port := cmp.Or(u.Port(), fmt.Sprint(nats.DefaultPort))
		if err = reach(ctx, net.JoinHostPort(u.Hostname(), port)); err == nil {
			return nil
		}
	}
	return err
}

func reach(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// listen collects the nodes' heartbeats until all must have sent one.
func (r *ProbeResult) listen(ctx context.Context, cluster clusterID, l *link) error {
	in := make(chan *nats.Msg, maxInbox)
	if _, err := l.conn.ChanSubscribe(cluster.subject(toAll), in); err != nil {
		return fmt.Errorf("subscribe to messages of nodes: %w", err)
	}
	timeout := time.NewTimer(probeTimeout)
	defer timeout.Stop()
	for {
		select {
		case m := <-in:
			h, body, why := split(m.Data)
			if note, ok := read[beatNote](body); why == "" && h.kind == kindBeat && ok {
				if len(r.Nodes) == 0 {
					timeout.Reset(probeAfterFirst)
				}
				r.Nodes[h.node] = note.Version
			}
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// maxWarnings bounds the different messages in warnings.
const maxWarnings = 10

// warnings is a slog.Handler that collects the messages of warnings and errors.
type warnings struct {
	mu       sync.Mutex // guards what follows
	messages []string
}

// Enabled implements slog.Handler.
func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.messages, r.Message) && len(w.messages) < maxWarnings {
		w.messages = append(w.messages, r.Message)
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements slog.Handler.
func (w *warnings) WithGroup(string) slog.Handler { return w }

func (w *warnings) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.messages)
}
