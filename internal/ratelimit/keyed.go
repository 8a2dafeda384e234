package ratelimit

import (
	"hash/maphash"
	"sync"
	"time"
)

// DefaultMaxKeys bounds how many keys a Keyed remembers unless Options say
// otherwise: a few megabytes.
const DefaultMaxKeys = 50_000

// Options of a Keyed.
type Options struct {
	// MaxKeys is how many keys are remembered at most; default DefaultMaxKeys. When
	// more than that are in use, some are forgotten and begin with a full bucket: a
	// limit protects the server, it does not keep accounts.
	MaxKeys int
	// Now is time.Now when nil.
	Now func() time.Time
}

// Keyed is the same limit for each of many keys, such as users or addresses. A full
// bucket is not remembered, so memory follows the keys in use. Create one with
// NewKeyed.
type Keyed[K ~string] struct {
	rate   Rate
	clock  clock
	seed   maphash.Seed
	shards []shard[K]
}

// NewKeyed returns a Keyed with full buckets.
func NewKeyed[K ~string](r Rate, o Options) *Keyed[K] {
	if o.MaxKeys <= 0 {
		o.MaxKeys = DefaultMaxKeys
	}
	n := min(max(o.MaxKeys/minShard, 1), maxShards)
	k := &Keyed[K]{rate: r, clock: newClock(o.Now), seed: maphash.MakeSeed(), shards: make([]shard[K], n)}
	for i := range k.shards {
		k.shards[i].init(o.MaxKeys / n)
	}
	return k
}

// Take takes a token of the key. When there is none, it takes nothing and returns
// how long it is until there is one.
func (k *Keyed[K]) Take(key K) (wait time.Duration, ok bool) {
	k.update(key, func(b Bucket, now time.Duration) Bucket {
		wait, ok = b.Take(now, k.rate)
		return b
	})
	return wait, ok
}

// Return puts back a token of the key that was taken.
func (k *Keyed[K]) Return(key K) {
	k.update(key, func(b Bucket, _ time.Duration) Bucket {
		b.Return(k.rate)
		return b
	})
}

// Reset fills the key's bucket.
func (k *Keyed[K]) Reset(key K) {
	k.update(key, func(Bucket, time.Duration) Bucket { return 0 })
}

// Block empties the key's bucket, so that the next token comes after d.
func (k *Keyed[K]) Block(key K, d time.Duration) {
	d += k.rate.Every * time.Duration(max(k.rate.Burst, 1)-1)
	k.update(key, func(_ Bucket, now time.Duration) Bucket { return Bucket(now + d) })
}

// Wait returns how long it is until the key has a token, and takes none.
func (k *Keyed[K]) Wait(key K) (wait time.Duration) {
	k.update(key, func(b Bucket, now time.Duration) Bucket {
		taken := b
		wait, _ = taken.Take(now, k.rate)
		return b
	})
	return wait
}

// Len returns how many keys are remembered.
func (k *Keyed[K]) Len() (n int) {
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		n += len(s.buckets)
		s.mu.Unlock()
	}
	return n
}

// update changes the key's bucket under the lock of its shard.
func (k *Keyed[K]) update(key K, change func(b Bucket, now time.Duration) Bucket) {
	s := &k.shards[maphash.String(k.seed, string(key))%uint64(len(k.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	now := k.clock.elapsed()
	s.put(key, change(s.buckets[key], now), now)
}

const (
	maxShards = 32
	minShard  = 1024 // keys for which another lock is worth it
	minSweep  = 256  // keys below which full buckets do no harm
)

// shard is the buckets behind one lock.
type shard[K ~string] struct {
	max int

	mu      sync.Mutex // guards what follows
	buckets map[K]Bucket
	sweepAt int // the number of keys at which the full buckets are dropped
}

func (s *shard[K]) init(maxKeys int) {
	s.max, s.sweepAt = maxKeys, min(minSweep, maxKeys)
	s.buckets = make(map[K]Bucket)
}

// put remembers a bucket that is not full. Called with mu held.
func (s *shard[K]) put(key K, b Bucket, now time.Duration) {
	if time.Duration(b) <= now {
		delete(s.buckets, key)
		return
	}
	if _, known := s.buckets[key]; !known && len(s.buckets) >= s.sweepAt {
		s.sweep(now)
	}
	s.buckets[key] = b
}

// sweep drops the full buckets and, if that is not enough, some others. The map is
// built again, because a Go map keeps the memory of what was deleted. Called with
// mu held.
func (s *shard[K]) sweep(now time.Duration) {
	kept := make(map[K]Bucket)
	for key, b := range s.buckets {
		if len(kept) == s.max-s.max/8-1 {
			break // map order is random, so this drops any of them
		}
		if time.Duration(b) > now {
			kept[key] = b
		}
	}
	s.buckets, s.sweepAt = kept, min(max(minSweep, 2*len(kept)), s.max)
}
