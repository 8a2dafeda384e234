package hub

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chowk-chat/chowk/chat"
)

// ring holds a channel's recent entries without a gap, the newest last.
type ring struct {
	entries []entry
	bytes   int64
}

const (
	maxRingEntries = 512       // of one channel
	maxRingBytes   = 256 << 10 // of one channel
)

// ringBudget bounds all rings together. Each has an equal share, and may have more
// while the others do not need theirs.
type ringBudget struct {
	max   int64
	used  atomic.Int64
	rings atomic.Int64 // those that are not empty
	gauge prometheus.Gauge
}

func (b *ringBudget) add(n int64) { b.gauge.Set(float64(b.used.Add(n))) }

// share returns the bytes that a ring may hold when there are not enough for all.
func (b *ringBudget) share() int64 { return b.max / max(b.rings.Load(), 1) }

// over reports whether the rings together exceed the budget, and whether they do so by
// far: then a ring cannot wait until the others have been trimmed to their share.
func (b *ringBudget) over() (over, byFar bool) {
	used := b.used.Load()
	return used > b.max, used > b.max+b.max/8
}

// push appends an entry and drops the oldest beyond the bounds. It reports whether the
// budget is exceeded all the same, so that other rings must be trimmed.
func (r *ring) push(e entry, budget *ringBudget) (over bool) {
	if len(r.entries) == 0 {
		budget.rings.Add(1)
	}
	r.entries = append(r.entries, e)
	r.bytes += e.size()
	budget.add(e.size())
	r.trim(maxRingEntries, maxRingBytes, budget)
	over, byFar := budget.over()
	if byFar {
		r.trim(1, 0, budget)
	} else if over {
		r.trim(maxRingEntries, budget.share(), budget)
	}
	over, _ = budget.over()
	return over
}

// trim drops the oldest entries until the ring is within the bounds. It keeps the
// newest one in any case.
func (r *ring) trim(maxEntries int, maxBytes int64, budget *ringBudget) {
	drop := 0
	for left := r.bytes; drop < len(r.entries)-1 && (len(r.entries)-drop > maxEntries || left > maxBytes); drop++ {
		left -= r.entries[drop].size()
	}
	r.drop(drop, budget)
}

// drop drops the n oldest entries.
func (r *ring) drop(n int, budget *ringBudget) {
	if n == 0 {
		return
	}
	var freed int64
	for i := range n {
		freed += r.entries[i].size()
		r.entries[i] = entry{}
	}
	r.entries = r.entries[n:]
	r.bytes -= freed
	budget.add(-freed)
}

// reset drops all entries.
func (r *ring) reset(budget *ringBudget) {
	if len(r.entries) > 0 {
		budget.rings.Add(-1)
	}
	budget.add(-r.bytes)
	*r = ring{}
}

// after returns the entries after seq; ok is false when the ring does not reach back
// that far.
func (r *ring) after(seq chat.Seq) (due []entry, ok bool) {
	if len(r.entries) == 0 || r.entries[0].seq > seq+1 {
		return nil, false
	}
	skip := min(seq+1-r.entries[0].seq, int64(len(r.entries)))
	return r.entries[skip:], true
}

// trimInterval is the time between two calls of trimRings.
const trimInterval = 100 * time.Millisecond

// trimRings trims rings to their share while they together exceed the budget.
func (h *Hub) trimRings() {
	for i := range h.channels {
		for _, ch := range h.channels[i].all() {
			if over, _ := h.rings.over(); !over {
				return
			}
			ch.mu.Lock()
			ch.ring.trim(maxRingEntries, h.rings.share(), &h.rings)
			ch.mu.Unlock()
		}
	}
}
