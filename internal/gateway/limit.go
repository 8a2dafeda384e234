package gateway

import (
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// age is how long the gateway has existed. It does not follow when the system's
// clock is set, so neither buckets nor the ages of sockets do.
func (g *Gateway) age() time.Duration { return g.Now().Sub(g.began) }

// maxUsers bounds for how many users at a time a rate is remembered.
const maxUsers = 1 << 18

// rates are the limits of clients' rates.
type rates struct {
	socket, control ratelimit.Rate                // the buckets are the session's
	users           *ratelimit.Keyed[chat.UserID] // a user's sockets together
	blocked         *ratelimit.Keyed[chat.UserID] // users who get no new socket for a while, see session.abuse
}

func newRates(l Limits, now func() time.Time) rates {
	keyed := func(r ratelimit.Rate) *ratelimit.Keyed[chat.UserID] {
		return ratelimit.NewKeyed[chat.UserID](r, ratelimit.Options{MaxKeys: maxUsers, Now: now})
	}
	return rates{
		socket:  ratelimit.PerSecond(l.EventsPerSecond, l.EventsBurst),
		control: ratelimit.PerSecond(l.ControlFramesPerSecond, 2*l.ControlFramesPerSecond),
		users:   keyed(ratelimit.PerSecond(l.UserEventsPerSecond, l.UserEventsBurst)),
		blocked: keyed(ratelimit.Rate{Every: abuseCooldown}),
	}
}

// allow takes a token for a command, of the socket and of its user.
func (s *session) allow() bool {
	g := s.gateway
	if _, ok := s.rate.Take(g.age(), g.rates.socket); !ok {
		return false
	}
	_, ok := g.rates.users.Take(s.user())
	return ok
}

// allowControl takes a token for a control frame.
func (s *session) allowControl() bool {
	_, ok := s.control.Take(s.gateway.age(), s.gateway.rates.control)
	return ok
}

// budget bounds the bytes of messages that are half received, in all.
type budget struct{ used atomic.Int64 }

// released is what session.held is once the socket is closed. It can be while an
// event of it is still carried out.
const released = ^uint32(0)

// hold notes how much the session keeps of a message that is half received; false
// when that is too much for all of them together, or the socket is closed.
func (s *session) hold() bool {
	held, before := uint32(s.partial.Size()), s.partialBytes.Load()
	if held == before {
		return true
	}
	if before == released || !s.partialBytes.CompareAndSwap(before, held) {
		return false
	}
	used := s.gateway.partial.used.Add(int64(held) - int64(before))
	return held < before || used <= int64(s.gateway.Limits.PartialBytes)
}

// release gives back what the session holds; false when it was done before.
func (b *budget) release(s *session) bool {
	held := s.partialBytes.Swap(released)
	if held != released {
		b.used.Add(-int64(held))
	}
	return held != released
}

// begin counts an event in that gets a goroutine; false when there are as many as
// may be.
func (g *Gateway) begin() bool {
	if !g.atOnce.TryAcquire(1) {
		return false
	}
	g.background.Add(1)
	return true
}

func (g *Gateway) end() {
	g.background.Done()
	g.atOnce.Release(1)
}

// Partial is how many bytes are held of messages that are half received.
func (g *Gateway) Partial() int64 { return g.partial.used.Load() }
