package hub

import (
	"context"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/chowk-chat/chowk/chat"
)

// logPage is the number of entries of the log that are read at a time.
const logPage = 256

// pages reads the log in pages that begin at multiples of logPage, and caches them, so
// that sockets that were away at the same time share reads: a thousand sockets that
// resume a channel cost as many reads as one.
type pages struct {
	hub    *Hub
	cached *otter.Cache[pageKey, []entry]
	loads  singleflight.Group
}

// pageKey identifies the entries of a channel after number*logPage.
type pageKey struct {
	channel chat.ID
	number  int64
}

// pageTimeout is how long a page is cached. Its messages are as they were when it was
// read.
const pageTimeout = 2 * time.Second

func newPages(h *Hub, bytes int64) *pages {
	return &pages{hub: h, cached: otter.Must(&otter.Options[pageKey, []entry]{
		MaximumWeight:    uint64(bytes),
		Weigher:          pageSize,
		ExpiryCalculator: otter.ExpiryWriting[pageKey, []entry](pageTimeout),
		Logger:           &otter.NoopLogger{},
	})}
}

func pageSize(_ pageKey, page []entry) uint32 {
	n := int64(0)
	for i := range page {
		n += page[i].size()
	}
	return uint32(min(n, 1<<31))
}

func (p *pages) close() { p.cached.StopAllGoroutines() }

// after returns entries after seq of a log that reaches head, at most to the end of
// their page, and none when the log ends at seq.
func (p *pages) after(id chat.ID, seq, head chat.Seq) ([]entry, error) {
	key := pageKey{id, seq / logPage}
	if page, ok := p.cached.GetIfPresent(key); ok {
		return entriesAfter(page, seq), nil
	}
	name := string(id[:]) + strconv.FormatInt(key.number, 16)
	page, err, shared := p.loads.Do(name, func() (any, error) { return p.load(key, head) })
	if chat.AsError(err).Code == chat.Resync {
		// The log no longer has the beginning of the page, but may have what follows seq.
		return p.read(id, seq, head)
	}
	if err != nil {
		return nil, err
	}
	due := entriesAfter(page.([]entry), seq)
	if len(due) == 0 && shared {
		// The load may have begun before the entries after seq were committed.
		page, err := p.load(key, head)
		return entriesAfter(page, seq), err
	}
	return due, nil
}

// pageEnd returns the last seq of the page that holds the entry after seq.
func pageEnd(seq chat.Seq) chat.Seq { return (seq/logPage + 1) * logPage }

func entriesAfter(page []entry, seq chat.Seq) []entry {
	for i := range page {
		if page[i].seq > seq {
			return page[i:]
		}
	}
	return nil
}

// load reads a page. It caches full pages only: others may still grow.
func (p *pages) load(key pageKey, head chat.Seq) ([]entry, error) {
	page, err := p.read(key.channel, key.number*logPage, head)
	if len(page) == logPage {
		p.cached.Set(key, page)
	}
	return page, err
}

func (p *pages) read(id chat.ID, after, head chat.Seq) ([]entry, error) {
	ctx, cancel := context.WithTimeout(p.hub.ctx, p.hub.config.ReadTimeout)
	defer cancel()
	logged, err := p.hub.config.Store.LogTo(ctx, id, after, logPage, head)
	if err != nil {
		return nil, err
	}
	p.hub.config.Metrics.LogReads.Inc()
	entries := make([]entry, len(logged))
	for i := range logged {
		entries[i] = p.hub.encode(&logged[i])
	}
	return entries, nil
}
