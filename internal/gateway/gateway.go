// Package gateway serves WebSockets: it performs the handshake, passes the commands
// in a client's frames to package command, and sends back the answers. An idle
// socket is a small struct here; a goroutine exists only while one of its commands
// runs.
package gateway

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/auth"
	"github.com/chowk-chat/chowk/internal/command"
	"github.com/chowk-chat/chowk/internal/frame"
	"github.com/chowk-chat/chowk/internal/hub"
	"github.com/chowk-chat/chowk/internal/metric"
	"github.com/chowk-chat/chowk/internal/model"
	"github.com/chowk-chat/chowk/internal/netpoll"
	"github.com/chowk-chat/chowk/internal/trace"
)

// Limits bound what clients may use. Zero means no limit, except for limits with a
// default.
type Limits struct {
	Sockets                int // in total
	SocketsPerUser         int
	SocketsPerAddress      int
	HandshakesPerSecond    int
	ConcurrentHandshakes   int // that query the database; default 2,048
	CommandsPerSecond      int // per socket; default 50
	CommandsBurst          int // per socket; default 100
	UserCommandsPerSecond  int // all sockets of a user; default 4 times those of a socket
	UserCommandsBurst      int // all sockets of a user; default 4 times those of a socket
	ControlFramesPerSecond int // pings and pongs per socket; default 20
	ConcurrentCommands     int // of all sockets; default 4,096
	PartialBytes           int // of partly received messages of all sockets; default 64 MiB
	Frame                  frame.Limits
}

// WithDefaults returns l with its defaults filled in.
func (l Limits) WithDefaults() Limits {
	for _, d := range []struct {
		limit *int
		value int
	}{
		{&l.CommandsPerSecond, 50},
		{&l.CommandsBurst, 100},
		{&l.ControlFramesPerSecond, 20},
		{&l.ConcurrentCommands, 4096},
		{&l.ConcurrentHandshakes, 2048},
		{&l.PartialBytes, 64 << 20},
	} {
		if *d.limit == 0 {
			*d.limit = d.value
		}
	}
	if l.UserCommandsPerSecond == 0 {
		l.UserCommandsPerSecond = 4 * l.CommandsPerSecond
	}
	if l.UserCommandsBurst == 0 {
		l.UserCommandsBurst = 4 * l.CommandsBurst
	}
	l.Frame = l.Frame.WithDefaults()
	return l
}

// Config configures a Gateway.
type Config struct {
	Commands   *command.Service
	Hub        *hub.Hub
	Auth       *auth.Authenticator
	Origins    *auth.OriginPolicy
	Poller     *netpoll.Poller
	Metrics    *metric.Gateway
	Trace      *trace.Tracer // nil traces nothing
	Log        *slog.Logger
	Now        func() time.Time // time.Now when nil
	Limits     Limits
	Epoch      string
	Durability string
	// Heartbeat is how long a socket may be silent before it is pinged. Default 30 s.
	Heartbeat time.Duration
	// Deflate accepts offers of permessage-deflate.
	Deflate bool
	// LegacyPage serves sockets without a subprotocol as the page of the old system
	// needs (see hub.Hub.AttachTo).
	LegacyPage bool
}

// Time limits of what a client waits for.
const (
	openTimeout    = 5 * time.Second  // from the handshake to the connection frame
	commandTimeout = 10 * time.Second // from a command to its answer
)

// Gateway is the http.Handler of the WebSocket endpoint. Create one with New.
type Gateway struct {
	Config
	began         time.Time
	admission     *admission
	running       *semaphore.Weighted // one unit for each command that runs
	draining      atomic.Bool
	drainWindow   atomic.Int64 // a time.Duration
	handshakes    inFlight
	deflateLimits frame.Limits // Limits.Frame for sockets that may compress messages
	sessions      registry
	rates         rates
	partial       budget
	background    sync.WaitGroup  // goroutines of commands and of closed sockets
	ctx           context.Context // ends with Close
	stop          context.CancelFunc
}

// New returns a Gateway. Drain or Close stops it.
func New(c Config) *Gateway {
	c.Limits = c.Limits.WithDefaults()
	if c.Heartbeat == 0 {
		c.Heartbeat = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Metrics == nil {
		c.Metrics = metric.New().Gateway
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		Config: c, began: c.Now(), admission: newAdmission(c.Limits), rates: newRates(c.Limits, c.Now),
		running: semaphore.NewWeighted(int64(c.Limits.ConcurrentCommands)), deflateLimits: c.Limits.Frame,
	}
	g.deflateLimits.Deflate = true
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.sessions.init()
	g.background.Go(g.sweep) // ends when Close cancels the context
	return g
}

// age returns how long the gateway has existed. It is monotonic: neither rates nor
// the ages of sockets change when the system's clock is set.
func (g *Gateway) age() time.Duration { return g.Now().Sub(g.began) }

// Sockets returns the number of open sockets.
func (g *Gateway) Sockets() int { return g.sessions.len() }

// PartialBytes returns how many bytes of memory partly received messages occupy.
func (g *Gateway) PartialBytes() int64 { return g.partial.used.Load() }

const (
	sweepInterval = time.Second // between checks for expired credentials
	cleanupSweeps = 4           // sweeps between two cleanups of what auth remembers
	expiryWarning = time.Minute // how long before it expires a client is warned
)

func (g *Gateway) sweep() {
	sweeps := 0
	async.Every(g.ctx, sweepInterval, func() {
		g.expire(chat.TimeOf(g.Now()))
		if sweeps++; sweeps%cleanupSweeps == 0 {
			g.Auth.Cleanup()
		}
	})
}

// expire closes sockets with a credential that has expired at the time now, and warns
// clients before theirs expires.
func (g *Gateway) expire(now chat.Time) {
	expired, soon := expiry(now), expiry(now+chat.Time(expiryWarning.Microseconds()))
	for _, s := range g.sessions.all() {
		switch {
		case s.expires == 0 || s.expires > soon:
		case s.expires <= expired:
			s.close(chat.CloseTokenExpired, "token expired")
		case !s.warned:
			s.warned = s.Write(s.encode(chat.NoticeFrame{
				Type: chat.EventNotice, Code: chat.NoticeTokenExpiring, Timestamp: now,
			}))
		}
	}
}

// Revoke closes the user's sockets of the given log-ins. Without any, it closes all
// of the user's sockets, because the user was disabled.
func (g *Gateway) Revoke(logins []model.TokenHash, user chat.UserID) {
	for _, c := range g.Hub.Conns(user) {
		s, ok := c.(*session)
		if !ok {
			continue
		}
		if len(logins) == 0 {
			s.close(chat.CloseUserDisabled, "user disabled")
			continue
		}
		for _, hash := range logins {
			if s.login == fingerprint(hash) {
				s.close(chat.CloseTokenExpired, "logged out")
			}
		}
	}
}
