package hub

import (
	"context"
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/sync/singleflight"

	"github.com/chowk-chat/chowk/chat"
)

// logPage is how many entries of the log are read at a time.
const logPage = 256

// pages reads channels' logs in pages that start at multiples of logPage, so that
// those who were away at the same time read them together: a thousand sockets that
// resume a channel cost as many reads as one.
type pages struct {
	hub   *Hub
	kept  *otter.Cache[pageKey, []entry]
	loads singleflight.Group
}

// pageKey names the entries of a channel after number*logPage.
type pageKey struct {
	channel chat.ID
	number  int64
}

// pageLasts is how long a page is kept: messages in it are as they were when it
// was read.
const pageLasts = 2 * time.Second

func newPages(h *Hub, bytes int64) *pages {
	return &pages{hub: h, kept: otter.Must(&otter.Options[pageKey, []entry]{
		MaximumWeight:    uint64(bytes),
		Weigher:          weight,
		ExpiryCalculator: otter.ExpiryWriting[pageKey, []entry](pageLasts),
		Logger:           &otter.NoopLogger{},
	})}
}

func weight(_ pageKey, page []entry) uint32 {
	n := int64(0)
	for i := range page {
		n += page[i].size()
	}
	return uint32(min(n, 1<<31))
}

func (p *pages) close() { p.kept.StopAllGoroutines() }

// after gives entries after seq of a log that goes to head, at most to the end of
// their page; none when the log ends there.
func (p *pages) after(id chat.ID, seq, head chat.Seq) ([]entry, error) {
	key := pageKey{id, seq / logPage}
	if page, ok := p.kept.GetIfPresent(key); ok {
		return beyond(page, seq), nil
	}
	name := string(id[:]) + strconv.FormatInt(key.number, 16)
	page, err, shared := p.loads.Do(name, func() (any, error) { return p.load(key, head) })
	if chat.AsError(err).Code == chat.Resync {
		// The page's beginning was forgotten, but perhaps not what is asked for.
		return p.read(id, seq, head)
	}
	if err != nil {
		return nil, err
	}
	due := beyond(page.([]entry), seq)
	if len(due) == 0 && shared {
		// A load that began before the entry was committed says nothing of it.
		alone, err := p.load(key, head)
		return beyond(alone, seq), err
	}
	return due, nil
}

// pageEnd is the last seq of the page of what follows seq.
func pageEnd(seq chat.Seq) chat.Seq { return (seq/logPage + 1) * logPage }

func beyond(page []entry, seq chat.Seq) []entry {
	for i := range page {
		if page[i].seq > seq {
			return page[i:]
		}
	}
	return nil
}

// load reads a page. Only a whole one is kept: more may come to another.
func (p *pages) load(key pageKey, head chat.Seq) ([]entry, error) {
	page, err := p.read(key.channel, key.number*logPage, head)
	if len(page) == logPage {
		p.kept.Set(key, page)
	}
	return page, err
}

func (p *pages) read(id chat.ID, after, head chat.Seq) ([]entry, error) {
	ctx, cancel := context.WithTimeout(p.hub.ctx, p.hub.config.ReadTimeout)
	defer cancel()
	events, err := p.hub.config.Store.LogTo(ctx, id, after, logPage, head)
	if err != nil {
		return nil, err
	}
	p.hub.config.Metrics.LogReads.Inc()
	entries := make([]entry, len(events))
	for i := range events {
		entries[i] = p.hub.encode(&events[i])
	}
	return entries, nil
}
