package gateway

import (
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/ratelimit"
)

// maxUsers bounds for how many users rates are remembered.
const maxUsers = 1 << 18

// rates limit how fast clients send.
type rates struct {
	socket, control ratelimit.Rate                // the buckets are in session
	users           *ratelimit.Keyed[chat.UserID] // all sockets of a user
	blocked         *ratelimit.Keyed[chat.UserID] // users who cannot open sockets, see session.abuse
}

func newRates(l Limits, now func() time.Time) rates {
	keyed := func(r ratelimit.Rate) *ratelimit.Keyed[chat.UserID] {
		return ratelimit.NewKeyed[chat.UserID](r, ratelimit.Options{MaxKeys: maxUsers, Now: now})
	}
	return rates{
		socket:  ratelimit.PerSecond(l.CommandsPerSecond, l.CommandsBurst),
		control: ratelimit.PerSecond(l.ControlFramesPerSecond, 2*l.ControlFramesPerSecond),
		users:   keyed(ratelimit.PerSecond(l.UserCommandsPerSecond, l.UserCommandsBurst)),
		blocked: keyed(ratelimit.Rate{Every: abuseCooldown}),
	}
}

// allow takes a token for a command, from the socket's bucket and from its user's.
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

// budget bounds the memory of partly received messages, all sockets together.
type budget struct{ used atomic.Int64 }

// released is the value of session.partialBytes once the socket is closed, which it
// can be while one of its commands still runs.
const released = ^uint32(0)

// countPartial counts the memory of the session's partly received message. It returns
// false if the budget is exhausted or the socket is closed.
func (s *session) countPartial() bool {
	size, counted := uint32(s.partial.Size()), s.partialBytes.Load()
	if size == counted {
		return true
	}
	if counted == released || !s.partialBytes.CompareAndSwap(counted, size) {
		return false
	}
	used := s.gateway.partial.used.Add(int64(size) - int64(counted))
	return size < counted || used <= int64(s.gateway.Limits.PartialBytes)
}

// release returns the session's share to the budget. It returns false if that was
// done before.
func (b *budget) release(s *session) bool {
	size := s.partialBytes.Swap(released)
	if size != released {
		b.used.Add(-int64(size))
	}
	return size != released
}
