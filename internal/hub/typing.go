package hub

import (
	"context"
	"sync"
	"time"

	"github.com/chowk-chat/chowk/chat"
)

// typingLasts is after how long without a word somebody is said to type no more:
// his page may be gone, or he may have walked away.
const typingLasts = 10 * time.Second

// maxTypists bounds who is remembered as typing. Beyond it nobody's typing expires
// by itself.
const maxTypists = 100_000

type typist struct {
	channel chat.ID
	user    chat.UserID
}

// typingTracker remembers who types, to tell when they have stopped without a word.
type typingTracker struct {
	expired func(typist)
	wake    chan struct{}

	mu    sync.Mutex // guards what follows
	until map[typist]time.Time
}

func newTypists(expired func(typist)) *typingTracker {
	return &typingTracker{expired: expired, wake: make(chan struct{}, 1), until: make(map[typist]time.Time)}
}

func (t *typingTracker) note(who typist, types bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !types {
		delete(t.until, who)
		return
	}
	if _, known := t.until[who]; !known && len(t.until) >= maxTypists {
		return
	}
	t.until[who] = now.Add(typingLasts)
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run looks once a second, and sleeps without a timer while nobody types.
func (t *typingTracker) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		tick.Stop()
		select {
		case <-t.wake:
		case <-ctx.Done():
			return
		}
		tick.Reset(time.Second)
		for more := true; more; {
			select {
			case now := <-tick.C:
				more = t.sweep(now)
			case <-ctx.Done():
				return
			}
		}
	}
}

// sweep tells of those whose time is over, and whether anybody is left.
func (t *typingTracker) sweep(now time.Time) (more bool) {
	t.mu.Lock()
	var over []typist
	for who, until := range t.until {
		if !now.Before(until) {
			over = append(over, who)
			delete(t.until, who)
		}
	}
	more = len(t.until) > 0
	t.mu.Unlock()
	for _, who := range over {
		t.expired(who)
	}
	return more
}
