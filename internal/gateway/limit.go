package gateway

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// bucket is a token bucket in eight bytes: the gateway's age at which it is full
// again, by the generic cell rate algorithm (ITU-T I.371).
type bucket time.Duration

// take takes one token at the age now; false when there is none.
func (b *bucket) take(now time.Duration, perSecond, burst int) bool {
	step := time.Second / time.Duration(perSecond)
	full := max(time.Duration(*b), now)
	if full+step-now > step*time.Duration(burst) {
		return false
	}
	*b = bucket(full + step)
	return true
}

// age is how long the gateway has existed. It does not follow when the system's
// clock is set, so neither buckets nor the ages of sockets do.
func (g *Gateway) age() time.Duration { return g.Now().Sub(g.began) }

// allow takes a token for an event, of the socket and of its user.
func (s *session) allow() bool {
	g, now := s.gateway, s.gateway.age()
	l := &g.Limits
	return s.rate.take(now, l.EventsPerSecond, l.EventsBurst) &&
		g.users.take(s.user(), now, l.UserEventsPerSecond, l.UserEventsBurst)
}

// allowControl takes a token for a control frame.
func (s *session) allowControl() bool {
	n := s.gateway.Limits.ControlFramesPerSecond
	return s.control.take(s.gateway.age(), n, 2*n)
}

// buckets are those of users. A full one says nothing and is not kept, so there
// are as many as users who were active a moment ago.
type buckets struct {
	seed   maphash.Seed
	shards [32]bucketShard
}

type bucketShard struct {
	mu    sync.Mutex // guards what follows
	m     map[chat.UserID]bucket
	sweep int // the size at which the full ones are dropped
}

// minSweep is the least size at which a shard is swept.
const minSweep = 256

func newBuckets() *buckets { return &buckets{seed: maphash.MakeSeed()} }

func (b *buckets) take(u chat.UserID, now time.Duration, perSecond, burst int) bool {
	s := b.shard(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.m[u]
	ok := one.take(now, perSecond, burst)
	s.put(u, one, now)
	return ok
}

func (b *buckets) shard(u chat.UserID) *bucketShard {
	return &b.shards[maphash.String(b.seed, string(u))%uint64(len(b.shards))]
}

// put keeps a bucket. Called with mu held.
func (s *bucketShard) put(u chat.UserID, one bucket, now time.Duration) {
	if s.m == nil {
		s.m, s.sweep = make(map[chat.UserID]bucket), minSweep
	}
	s.m[u] = one
	if len(s.m) >= s.sweep {
		s.drop(now)
	}
}

// fill makes a user's bucket full again only after a while; full says how long that
// still takes.
func (b *buckets) fill(u chat.UserID, now, after time.Duration) {
	s := b.shard(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(u, bucket(now+after), now)
}

func (b *buckets) full(u chat.UserID, now time.Duration) (in time.Duration) {
	s := b.shard(u)
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Duration(s.m[u])-now, 0)
}

// drop forgets the buckets that are full. Called with mu held.
func (s *bucketShard) drop(now time.Duration) {
	kept := make(map[chat.UserID]bucket)
	for u, b := range s.m {
		if time.Duration(b) > now {
			kept[u] = b
		}
	}
	s.m, s.sweep = kept, max(minSweep, 2*len(kept))
}

// budget bounds the bytes of messages that are half received, in all.
type budget struct{ used atomic.Int64 }

// released is what session.held is once the socket is closed. It can be while an
// event of it is still carried out.
const released = ^uint32(0)

// hold notes how much the session keeps of a message that is half received; false
// when that is too much for all of them together, or the socket is closed.
func (s *session) hold() bool {
	held, before := uint32(s.partial.Held()), s.partialBytes.Load()
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
