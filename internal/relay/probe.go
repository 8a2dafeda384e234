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

	"github.com/chowk-chat/chowk/internal/metric"
)

// ProbeResult is what Probe saw.
type ProbeResult struct {
	Server string // version of the NATS
	// Unreachable are addresses of other nodes at which nobody takes a connection,
	// Refused those that take one and let nobody in, each with the reason.
	Unreachable, Refused map[string]string
	Problems             []string // what the NATS complained about
	Nodes                map[string]string
	RoundTrip            time.Duration // the longest to a node, or to a NATS elsewhere; 0 when there is none
}

const (
	lookFor   = 4 * time.Second // at most
	lookAfter = 1200 * time.Millisecond
	dialMost  = 2 * time.Second
)

// Probe joins the nodes of a space for some seconds, and gives those that it hears,
// by id with their versions. It tells them nothing. It fails when there is no NATS
// elsewhere that would take it.
func Probe(ctx context.Context, clusterID string, l Link) (s ProbeResult, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor+dialMost)
	defer cancel()
	s = ProbeResult{Unreachable: make(map[string]string), Refused: make(map[string]string), Nodes: make(map[string]string)}
	if l.Listen != "" {
		l.Listen = "127.0.0.1:0" // nobody is to come in
	}
	var heard warnings
	n := New(Config{Space: clusterID, Link: l, Metrics: metric.New().Relay, Log: slog.New(&heard)})
	link, err := open(n)
	if err != nil {
		return s, err
	}
	defer link.close()
	n.link = link
	if link.server == nil {
		err = s.hearFrom(ctx, n, link)
	} else {
		err = s.hearAll(ctx, n, link)
	}
	s.Problems = heard.all()
	return s, err
}

// hearFrom looks at a NATS elsewhere.
func (s *ProbeResult) hearFrom(ctx context.Context, n *Node, l *link) error {
	waiting, cancel := context.WithTimeout(ctx, connectTimeout+time.Second)
	defer cancel()
	for !l.conn.IsConnected() {
		select {
		case <-time.After(flushGlance):
		case <-waiting.Done():
			return cmp.Or(l.conn.LastError(), reachAny(ctx, n.config.Link.URL), errors.New("no NATS answers"))
		}
	}
	s.Server = l.conn.ConnectedServerVersion()
	var err error
	if s.RoundTrip, err = l.conn.RTT(); err != nil {
		return fmt.Errorf("ask the NATS: %w", err)
	}
	return s.hear(ctx, n, l)
}

// hearAll looks at the NATS of each node.
func (s *ProbeResult) hearAll(ctx context.Context, n *Node, l *link) error {
	s.Server = l.server.ID()
	if v, err := l.server.Varz(nil); err == nil {
		s.Server = v.Version
	}
	open := make(map[string]bool)
	for _, address := range l.routes.tried {
		if err := reach(ctx, address); err != nil {
			s.Unreachable[address] = err.Error()
			continue
		}
		open[address] = true
	}
	err := s.hear(ctx, n, l)
	routes, routesErr := l.server.Routez(nil)
	if err == nil && routesErr != nil {
		err = fmt.Errorf("look at the routes: %w", routesErr)
	}
	if err != nil {
		return err
	}
	came := make(map[string]bool)
	for _, r := range routes.Routes {
		came[r.RemoteName] = true
		delete(open, net.JoinHostPort(r.IP, fmt.Sprint(r.Port)))
		if trip, err := time.ParseDuration(r.RTT); err == nil {
			s.RoundTrip = max(s.RoundTrip, trip)
		}
	}
	if len(came) >= len(l.routes.tried)-len(s.Unreachable) {
		return nil // some came in by themselves
	}
	for address := range open {
		s.Refused[address] = "takes connections, but no node came of it"
	}
	return nil
}

// reachAny is why none of the servers takes a connection, nil when one does.
func reachAny(ctx context.Context, urls string) (err error) {
	for text := range strings.SplitSeq(urls, ",") {
		u, parseErr := url.Parse(strings.TrimSpace(text))
		if parseErr != nil {
			continue // it was looked at before
		}
		port := cmp.Or(u.Port(), fmt.Sprint(nats.DefaultPort))
		if err = reach(ctx, net.JoinHostPort(u.Hostname(), port)); err == nil {
			return nil
		}
	}
	return err
}

func reach(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialMost)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}

// hear listens to the nodes' beats: for as long as all need to beat once the first
// was heard.
func (s *ProbeResult) hear(ctx context.Context, n *Node, l *link) error {
	in := make(chan *nats.Msg, inboxMost)
	if _, err := l.conn.ChanSubscribe(n.subject(toAll), in); err != nil {
		return fmt.Errorf("subscribe to what nodes say: %w", err)
	}
	over := time.NewTimer(lookFor)
	defer over.Stop()
	for {
		select {
		case m := <-in:
			h, body, why := split(m.Data)
			if note, ok := read[beatNote](body); why == "" && h.kind == kindBeat && ok {
				if len(s.Nodes) == 0 {
					over.Reset(lookAfter)
				}
				s.Nodes[h.node] = note.Version
			}
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// warnings is a slog.Handler that keeps what is said in warning.
type warnings struct {
	mu   sync.Mutex // guards what follows
	said []string
}

// Enabled is slog.Handler's.
func (*warnings) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle is slog.Handler's.
func (c *warnings) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.said, r.Message) && len(c.said) < 10 {
		c.said = append(c.said, r.Message)
	}
	return nil
}

// WithAttrs is slog.Handler's.
func (c *warnings) WithAttrs([]slog.Attr) slog.Handler { return c }

// WithGroup is slog.Handler's.
func (c *warnings) WithGroup(string) slog.Handler { return c }

func (c *warnings) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.said)
}
