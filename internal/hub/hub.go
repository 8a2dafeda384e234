// Package hub knows who listens here. A channel with listeners has its recent
// events in a ring, already encoded, and a cursor for each socket that hears it:
// the seq up to which that socket has been served. Whoever is level is written to
// directly; whoever cannot take more falls behind, holds nothing, and is served
// from the ring or the log as it drains. To resume after a reconnect is the same
// thing: a cursor that starts further back.
//
// Locks are taken in this order: channel.mu, then user.mu or socket.mu, then
// channel.inbox or a queue's. Nothing waits for a peer or the database under one.
package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/metric"
)

// Config says how a Hub works. Zero values mean the defaults.
type Config struct {
	Store Store
	// Relay may be nil: then there are no other nodes.
	Relay   Relay
	Metrics *metric.Hub
	Log     *slog.Logger
	Now     func() time.Time
	// Workers fan out; each has its share of the channels. Default 2.
	Workers int
	// Readers bring sockets that fell behind level again; they may read the log.
	// Default 4.
	Readers int
	// RingBytes bounds the encoded events kept in all; a quarter of it more may be
	// pages of the log, for a moment. Default 64 MiB.
	RingBytes int64
	// Deflate is the size in bytes from which events are compressed for sockets that
	// take them so. 0 is never.
	Deflate int
	// ReadTimeout bounds one read of the log. Default 5 s.
	ReadTimeout time.Duration
}

func (c Config) withDefaults() Config {
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Relay == nil {
		c.Relay = noRelay{}
	}
	if c.Readers == 0 {
		c.Readers = 4
	}
	if c.RingBytes == 0 {
		c.RingBytes = 64 << 20
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = metric.New().Hub
	}
	return c
}

// Hub is who listens here. Make one with Start; Close ends it.
type Hub struct {
	config        Config
	channels      [shards]channelShard
	users         [shards]userShard
	rings         ringBudget
	fanout        []*queue[*channel]
	behind        *queue[*Socket]
	gaps          *queue[*channel]
	pages         *pages
	presence      *presence
	typingTracker *typingTracker
	told          *debouncer[*channel] // channels that were told something transient a moment ago
	tight         *debouncer[struct{}] // the rings hold more than they may
	doubts        *debouncer[chat.ID]  // channels whose heads are to be read
	holes         *debouncer[*channel] // channels in which an entry came before the one before it
	ctx           context.Context
	stop          context.CancelFunc
	done          sync.WaitGroup
}

const shards = 64

type channelShard struct {
	mu sync.RWMutex
	m  map[chat.ID]*channel // guarded by mu
}

// Start begins to fan out.
func Start(c Config) *Hub {
	h := &Hub{config: c.withDefaults(), behind: newQueue[*Socket](), gaps: newQueue[*channel]()}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.rings.max = h.config.RingBytes
	h.rings.gauge = h.config.Metrics.RingBytes
	for i := range shards {
		h.channels[i].m = make(map[chat.ID]*channel)
		h.users[i].known = newRoster()
	}
	for range h.config.Workers {
		q := newQueue[*channel]()
		h.fanout = append(h.fanout, q)
		h.done.Go(func() { q.run(h.serve) }) // ends when Close closes the queue
	}
	for range h.config.Readers {
		h.done.Go(func() { h.behind.run(h.catchUp) }) // ends when Close closes the queue
	}
	for range h.fillers() {
		h.done.Go(func() { h.gaps.run(h.fill) }) // ends when Close closes the queue
	}
	h.pages = newPages(h, max(h.config.RingBytes/4, 1))
	h.presence = newPresence(h)
	h.typingTracker = newTypists(h.typingExpired)
	h.told = newLater(transientEvery, func(channels []*channel) {
		for _, ch := range channels {
			h.dirty(ch)
		}
	})
	h.doubts = newLater(doubtDelay, h.recheckHeads)
	h.holes = newLater(holeDelay, func(channels []*channel) {
		for _, ch := range channels {
			h.gaps.put(ch)
		}
	})
	h.tight = newLater(trimEvery, func([]struct{}) { h.trimRings() })
	for _, run := range []func(context.Context){h.presence.news.run, h.typingTracker.run, h.told.run, h.tight.run, h.doubts.run, h.holes.run} {
		h.done.Go(func() { run(h.ctx) }) // ends when Close cancels the hub's context
	}
	return h
}

// Close stops the fan-out and waits for it. Sockets are the gateway's to close.
func (h *Hub) Close() {
	h.stop()
	for _, q := range h.fanout {
		q.close()
	}
	h.behind.close()
	h.gaps.close()
	h.done.Wait()
	h.pages.close()
}

// Publish takes committed entries, each channel's in seq order. It keeps nobody
// waiting: the fan-out happens elsewhere. Entries that the hub has seen are
// ignored, and a hole is filled from the log.
func (h *Hub) Publish(events []chat.Entry) {
	for i := range events {
		ev := &events[i]
		ch := h.lookup(ev.ChannelID)
		if ch == nil && h.anyLocal(ev.JoinedUsers()) {
			ch = h.getOrCreate(ev.ChannelID)
			ch.learn(ev.Seq - 1)
		}
		if ch != nil {
			ch.put(*ev)
			h.dirty(ch)
		}
	}
}

func (h *Hub) dirty(ch *channel) { h.fanout[int(ch.id[14])%len(h.fanout)].put(ch) }

func (h *Hub) shard(id chat.ID) *channelShard { return &h.channels[id[15]%shards] }

func (h *Hub) lookup(id chat.ID) *channel {
	s := h.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[id]
}

// getOrCreate gives the channel, making it when nobody listened so far.
func (h *Hub) getOrCreate(id chat.ID) *channel {
	if ch := h.lookup(id); ch != nil {
		return ch
	}
	s := h.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.m[id]
	if ch == nil {
		ch = &channel{id: id, hub: h}
		s.m[id] = ch
		h.config.Metrics.Channels.Inc()
		h.config.Relay.Listen(id)
	}
	return ch
}

// evict drops a channel to which nobody listens any more.
func (h *Hub) evict(ch *channel) {
	s := h.shard(ch.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.listeners.len() > 0 || ch.gone || s.m[ch.id] != ch {
		return
	}
	ch.gone = true
	delete(s.m, ch.id)
	ch.ring.reset(&h.rings)
	h.config.Metrics.Channels.Dec()
	h.config.Relay.Unlisten(ch.id)
}

// trimEvery is how often rings give back what is beyond their share.
const trimEvery = 100 * time.Millisecond

// trimRings makes the rings that have more than their share give it back.
func (h *Hub) trimRings() {
	for i := range h.channels {
		for _, ch := range h.channels[i].all() {
			if over, _ := h.rings.over(); !over {
				return
			}
			ch.mu.Lock()
			ch.ring.keep(ringEntries, h.rings.share(), &h.rings)
			ch.mu.Unlock()
		}
	}
}

func (s *channelShard) all() []*channel {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]*channel, 0, len(s.m))
	for _, ch := range s.m {
		all = append(all, ch)
	}
	return all
}

// Listening is how many channels somebody listens to here.
func (h *Hub) Listening() int {
	n := 0
	for i := range h.channels {
		s := &h.channels[i]
		s.mu.RLock()
		n += len(s.m)
		s.mu.RUnlock()
	}
	return n
}
