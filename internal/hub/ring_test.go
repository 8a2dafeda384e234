package hub

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/metric"
)

// TestRingsShareTheirBudget: many busy channels do not take a quiet one's share, one
// busy channel may use what the others leave, and the budget holds.
func TestRingsShareTheirBudget(t *testing.T) {
	const budget = 1 << 20
	h := &Hub{config: Config{}.WithDefaults()}
	h.rings.max, h.rings.gauge = budget, metric.New().Hub.RingBytes
	for i := range h.channels {
		h.channels[i].m = make(map[chat.ID]*channel)
	}
	h.overBudget = async.NewDebouncer(time.Hour, func([]struct{}) {})
	push := func(ch *channel, n int) {
		for range n {
			ch.mu.Lock()
			e := entry{seq: ch.head + 1, shared: make([]byte, 1<<10)}
			ch.head++
			over := ch.ring.push(e, &h.rings)
			ch.mu.Unlock()
			if over {
				h.trimRings()
			}
			if used := h.rings.used.Load(); used > budget+budget/8+2<<10 {
				t.Fatalf("the rings hold %d bytes of %d", used, budget)
			}
		}
	}
	greedy := h.getOrCreate(chat.NewID())
	push(greedy, 1000)
	if greedy.ring.bytes < maxRingBytes-(2<<10) {
		t.Errorf("one busy channel alone keeps %d bytes, want %d", greedy.ring.bytes, maxRingBytes)
	}
	quiet := h.getOrCreate(chat.NewID())
	push(quiet, 8)
	var busy []*channel
	for range 30 {
		busy = append(busy, h.getOrCreate(chat.NewID()))
	}
	for range 60 {
		for _, ch := range append(slices.Clone(busy), greedy) {
			push(ch, 1)
		}
	}
	h.trimRings()
	if got := len(quiet.ring.entries); got != 8 {
		t.Errorf("a quiet channel within its share keeps %d entries, want 8", got)
	}
	for _, ch := range append(busy, greedy) {
		if ch.ring.bytes < h.rings.share()/2 {
			t.Errorf("a busy channel keeps %d bytes of a share of %d", ch.ring.bytes, h.rings.share())
		}
	}
	if got := testutil.ToFloat64(h.rings.gauge); int64(got) != h.rings.used.Load() {
		t.Errorf("the gauge is %v, want %d", got, h.rings.used.Load())
	}
}
