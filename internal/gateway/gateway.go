// Package gateway is the door for sockets: it shakes hands, turns frames into
// verbs and verbs' results into answers. A socket that is idle is a small struct
// here; a goroutine exists only while one of its events is carried out.
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

// Limits bound what clients may take. Zero values mean no limit, but for those
// with a default.
type Limits struct {
	Sockets                int // in all
	SocketsPerUser         int
	SocketsPerAddress      int
	HandshakesPerSecond    int
	HandshakesAtOnce       int // that ask the database; default 2,048
	EventsPerSecond        int // per socket; default 50
	EventsBurst            int // per socket; default 100
	UserEventsPerSecond    int // all sockets of a user; default 4 times those of a socket
	UserEventsBurst        int // all sockets of a user; default 4 times those of a socket
	ControlFramesPerSecond int // pings and pongs per socket; default 20
	EventsAtOnce           int // carried out at a time, all sockets together; default 4,096
	PartialBytes           int // of messages half received, all sockets together; default 64 MiB
	Frame                  frame.Limits
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		limit *int
		value int
	}{
		{&l.EventsPerSecond, 50},
		{&l.EventsBurst, 100},
		{&l.ControlFramesPerSecond, 20},
		{&l.EventsAtOnce, 4096},
		{&l.HandshakesAtOnce, handshakesAtOnce},
		{&l.PartialBytes, 64 << 20},
	} {
		if *d.limit == 0 {
			*d.limit = d.value
		}
	}
	if l.UserEventsPerSecond == 0 {
		l.UserEventsPerSecond = 4 * l.EventsPerSecond
	}
	if l.UserEventsBurst == 0 {
		l.UserEventsBurst = 4 * l.EventsBurst
	}
	l.Frame = l.Frame.WithDefaults()
	return l
}

// Config says how a Gateway works.
type Config struct {
	Rules      *command.Service
	Hub        *hub.Hub
	Auth       *auth.Authenticator
	Door       *auth.OriginPolicy
	Poller     *netpoll.Poller
	Metrics    *metric.Gateway
	Trace      *trace.Tracer // nil: nothing is traced
	Log        *slog.Logger
	Now        func() time.Time // time.Now when nil
	Limits     Limits
	Epoch      string
	Durability string
	// Heartbeat is after how much silence a ping is sent. Default 30 s.
	Heartbeat time.Duration
	// Deflate offers permessage-deflate to clients that ask for it.
	Deflate bool
	// OldPage serves sockets without a subprotocol as the old system's page needs
	// it (hub.DelayOwnEcho).
	OldPage bool
}

// Timeouts of what a client waits for.
const (
	openTimeout  = 5 * time.Second  // from handshake to connection frame
	eventTimeout = 10 * time.Second // from event to answer
)

// Gateway is an http.Handler for the socket endpoint. Make one with New.
type Gateway struct {
	Config
	began      time.Time
	admission  *admission
	atOnce     *semaphore.Weighted
	draining   atomic.Bool
	window     atomic.Int64 // over which it drains
	shaking    inFlight
	packed     frame.Limits // those of sockets whose messages may be compressed
	sessions   registry
	rates      rates
	partial    budget
	background sync.WaitGroup // goroutines of events, openings and closings
	ctx        context.Context
	stop       context.CancelFunc
}

// New makes a Gateway. Drain or Close ends it.
func New(c Config) *Gateway {
	c.Limits = c.Limits.withDefaults()
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
		Config: c, began: c.Now(), admission: newAdmission(c.Limits),
		atOnce: semaphore.NewWeighted(int64(c.Limits.EventsAtOnce)), rates: newRates(c.Limits, c.Now),
	}
	g.packed = c.Limits.Frame
	g.packed.Deflate = true
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.sessions.init()
	g.background.Go(g.sweep) // ends when Close cancels the context
	return g
}

// Sockets is how many are open.
func (g *Gateway) Sockets() int { return g.sessions.len() }

// sweepInterval is how often expired credentials are looked for, tidyTurns after how
// many times what is remembered of them is dropped, expiryWarning how long before
// its end a client is told to bring a new one.
const (
	sweepInterval = time.Second
	tidyTurns     = 4
	expiryWarning = time.Minute
)

func (g *Gateway) sweep() {
	turn := 0
	async.Every(g.ctx, sweepInterval, func() {
		g.expire(chat.TimeOf(g.Now()))
		if turn++; turn%tidyTurns == 0 {
			g.Auth.Cleanup()
		}
	})
}

// expire closes the sockets whose credential is no longer good at the time now, and
// tells those whose credential soon is not.
func (g *Gateway) expire(now chat.Time) {
	at, soon := expiry(now), expiry(now+chat.Time(expiryWarning.Microseconds()))
	for _, s := range g.sessions.all() {
		switch {
		case s.expires == 0 || s.expires > soon:
		case s.expires <= at:
			s.close(chat.CloseTokenExpired, "token expired")
		case !s.warned:
			s.warned = s.Write(s.encode(chat.NoticeFrame{Type: chat.EventNotice, Code: chat.NoticeTokenExpiring, Timestamp: now}))
		}
	}
}

// Revoke closes the user's sockets: those of the sessions given, or with none
// given all of them, because the user was disabled.
func (g *Gateway) Revoke(sessions []model.TokenHash, user chat.UserID) {
	for _, c := range g.Hub.Conns(user) {
		s, ok := c.(*session)
		if !ok {
			continue
		}
		if len(sessions) == 0 {
			s.close(chat.CloseUserDisabled, "user disabled")
			continue
		}
		for _, hash := range sessions {
			if s.login == fingerprint(hash) {
				s.close(chat.CloseTokenExpired, "logged out")
			}
		}
	}
}
