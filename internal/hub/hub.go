// Package hub delivers entries to the sockets on this node. A channel with listeners
// has its recent entries in a ring, already encoded, and a cursor for each subscribed
// socket: the seq up to which it has been sent entries. A socket that has caught up is
// written to directly. A socket that accepts no more falls behind, takes no memory for
// that, and is served from the ring or the log as it drains. Resuming after a
// reconnect is the same thing: a cursor that starts further back.
//
// Locks are acquired in this order: channel.mu, then user.mu or Socket.mu, then an
// inbox's or a queue's. No lock is held while waiting for a peer or the database.
package hub

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/hub/internal/compact"
	"github.com/chowk-chat/chowk/internal/metric"
)

// Config configures a Hub. Zero values mean the defaults.
type Config struct {
	Store Store
	// Relay is nil on a single node.
	Relay   Relay
	Metrics *metric.Hub
	Log     *slog.Logger
	Now     func() time.Time
	// Workers is the number of goroutines that fan out; each serves a share of the
	// channels. Default 2.
	Workers int
	// Readers is the number of goroutines that serve sockets that fell behind; they
	// may read the log. Default 4.
	Readers int
	// RingBytes bounds the encoded entries in all rings. Pages of the log that are
	// cached for a moment may take a quarter of it in addition. Default 64 MiB.
	RingBytes int64
	// Deflate is the size in bytes from which entries are compressed for sockets that
	// accept it. 0 disables compression.
	Deflate int
	// ReadTimeout bounds one read of the log. Default 5 s.
	ReadTimeout time.Duration
}

// WithDefaults returns c with its defaults filled in.
func (c Config) WithDefaults() Config {
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

// Hub holds the listeners on this node. Start creates one; Close ends it.
type Hub struct {
	config   Config
	channels [shards]channelShard
	users    [shards]userShard
	rings    ringBudget
	pages    *pages
	presence *presence
	typing   *typingTracker

	fanout []*queue[*channel] // one for each worker
	behind *queue[*Socket]    // sockets that fell behind
	gaps   *queue[*channel]   // channels with entries to read from the log

	transients *async.Debouncer[*channel] // channels whose transient events wait for transientInterval
	overBudget *async.Debouncer[struct{}] // the rings hold more than they may
	uncertain  *async.Debouncer[chat.ID]  // channels whose heads must be read
	newGaps    *async.Debouncer[*channel] // channels with a gap that may still be filled without the log

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

const shards = 64

type channelShard struct {
	mu sync.RWMutex
	m  map[chat.ID]*channel // guarded by mu
}

// Start returns a running Hub.
func Start(c Config) *Hub {
	h := &Hub{config: c.WithDefaults(), behind: newQueue[*Socket](), gaps: newQueue[*channel]()}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.rings.max = h.config.RingBytes
	h.rings.gauge = h.config.Metrics.RingBytes
	for i := range shards {
		h.channels[i].m = make(map[chat.ID]*channel)
		h.users[i].users = compact.NewTable[*user]()
	}
	h.pages = newPages(h, max(h.config.RingBytes/4, 1))
	h.presence = newPresence(h)
	h.typing = newTypingTracker(h.config.Now, h.typingExpired)
	h.transients = async.NewDebouncer(transientInterval, func(channels []*channel) {
		for _, ch := range channels {
			h.scheduleFanout(ch)
		}
	})
	h.newGaps = async.NewDebouncer(gapDelay, func(channels []*channel) {
		for _, ch := range channels {
			h.gaps.put(ch)
		}
	})
	h.uncertain = async.NewDebouncer(uncertainDelay, h.recheckHeads)
	h.overBudget = async.NewDebouncer(trimInterval, func([]struct{}) { h.trimRings() })
	h.startWorkers()
	return h
}

func (h *Hub) startWorkers() {
	for range h.config.Workers {
		q := newQueue[*channel]()
		h.fanout = append(h.fanout, q)
		h.done.Go(func() { q.run(h.serve) }) // ends when Close closes the queue
	}
	for range h.config.Readers {
		h.done.Go(func() { h.behind.run(h.catchUp) }) // ends when Close closes the queue
	}
	for range h.gapFillers() {
		h.done.Go(func() { h.gaps.run(h.readGap) }) // ends when Close closes the queue
	}
	for _, run := range []func(context.Context){
		h.presence.notifications.Run, h.typing.run, h.transients.Run, h.overBudget.Run, h.uncertain.Run, h.newGaps.Run,
	} {
		h.done.Go(func() { run(h.ctx) }) // ends when Close cancels the hub's context
	}
}

// Close stops the fan-out and waits for it. It does not close sockets.
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

// Publish accepts committed entries, those of a channel in seq order, and returns
// without waiting for the fan-out. Known entries are ignored, and missing ones are
// read from the log.
func (h *Hub) Publish(entries []chat.Entry) {
	for i := range entries {
		ev := &entries[i]
		ch := h.lookup(ev.ChannelID)
		if ch == nil && h.anyConnected(ev.JoinedUsers()) {
			ch = h.getOrCreate(ev.ChannelID)
			ch.observeHead(ev.Seq - 1)
		}
		if ch != nil {
			ch.enqueue(*ev)
			h.scheduleFanout(ch)
		}
	}
}

// scheduleFanout has the channel's worker serve what is published to it.
func (h *Hub) scheduleFanout(ch *channel) { h.fanout[int(ch.id[14])%len(h.fanout)].put(ch) }

func (h *Hub) shard(id chat.ID) *channelShard { return &h.channels[id[15]%shards] }

// lookup returns a channel that has listeners, nil for others.
func (h *Hub) lookup(id chat.ID) *channel {
	s := h.shard(id)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m[id]
}

// withChannel calls f under the mu of a channel, which it creates if there is none.
func (h *Hub) withChannel(id chat.ID, f func(*channel)) {
	for {
		ch := h.getOrCreate(id)
		ch.mu.Lock()
		if ch.gone {
			ch.mu.Unlock()
			continue
		}
		f(ch)
		ch.mu.Unlock()
		return
	}
}

// getOrCreate returns the channel. By the time the caller locks it, it may be gone.
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

// evict drops a channel that has no listeners.
func (h *Hub) evict(ch *channel) {
	s := h.shard(ch.id)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.listeners.Len() > 0 || ch.gone || s.m[ch.id] != ch {
		return
	}
	ch.gone = true
	delete(s.m, ch.id)
	ch.ring.reset(&h.rings)
	h.config.Metrics.Channels.Dec()
	h.config.Relay.Unlisten(ch.id)
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

// ChannelCount returns the number of channels that have listeners here.
func (h *Hub) ChannelCount() int {
	n := 0
	for i := range h.channels {
		s := &h.channels[i]
		s.mu.RLock()
		n += len(s.m)
		s.mu.RUnlock()
	}
	return n
}
