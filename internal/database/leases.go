package database

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// leases gives out the connections of a pool by number, first come first served but
// for commits, which go before everything else, and knows who holds them and who
// waits. A unit of work that has its turn finds a
// connection in the pool, or room to open one.
type leases struct {
	limit    string // in words, such as "pool limit of size 10 overflow 20"
	watch    watch
	observer Observer

	mu       sync.Mutex // guards what follows
	kept     int        // how many are lent without hesitation; 0 for all
	free     int
	opening  int // of those lent beyond kept, how many may still be opened
	held     map[*lease]struct{}
	queue    list.List // of *waiter: commits, then the longest waiting first
	reported time.Time // the last report on who holds everything
	quiet    bool      // reported, and somebody has waited ever since
}

// watch says how long is too long.
type watch struct {
	soft, hard time.Duration
	log        *slog.Logger
}

// Who holds a connection for longer than suspicious while others wait is named in
// the log, at most once in reportEvery.
const (
	suspicious  = 250 * time.Millisecond
	reportEvery = 10 * time.Second
)

// openDelay is how long a unit waits for one of the connections that are kept
// before another is opened: most are held for a millisecond, and opening one takes
// longer than that. Of those that are opened, no more than openAtOnce are so at a time:
// when the database or the machine stands still for a moment, everybody hesitates
// for long enough at the same time, and a crowd of connections to be opened is the
// last that it needs. Meanwhile the others take what is given back.
const (
	openDelay  = 20 * time.Millisecond
	openAtOnce = 2
)

// lease is one connection held by one unit of work.
type lease struct {
	unit  string
	since time.Time
	sites [12]uintptr // who took it
	soft  *time.Timer

	// Guarded by the ledger:
	pid     uint32 // of the server's process
	opening bool   // counted in the ledger's opening
}

type waiter struct {
	lease *lease
	since time.Time
	turn  chan struct{} // closed when holding is held
}

// Why a unit of work got no turn.
var (
	ErrQueueFull = errors.New("too many wait already")
	errNoTurn    = errors.New("no turn in time")
	errHeldLong  = errors.New("the connection was held for too long")
)

func newLedger(connections int, limit string, w watch, o Observer) *leases {
	return &leases{limit: limit, watch: w, observer: o, free: connections, held: make(map[*lease]struct{})}
}

// take waits for a turn, until ctx ends and no longer than wait.
func (l *leases) take(ctx context.Context, unit string, wait time.Duration) (*lease, error) {
	h := &lease{unit: unit}
	runtime.Callers(3, h.sites[:])
	w, err := l.join(h)
	if err != nil || w == nil {
		return h, err
	}
	timer, check, more := time.NewTimer(wait), time.AfterFunc(suspicious, l.reportLongHolders), time.AfterFunc(openDelay, func() { l.overflow(w) })
	defer timer.Stop()
	defer check.Stop()
	defer more.Stop()
	select {
	case <-w.turn:
		return h, nil
	case <-timer.C:
	case <-ctx.Done():
	}
	if l.leave(w) {
		l.reportLongHolders()
		return nil, errNoTurn
	}
	return h, nil // the turn came at the same moment
}

// join takes a free turn, or else gives what waits for one.
func (l *leases) join(h *lease) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.free > 0 && (l.kept == 0 || len(l.held) < l.kept):
		l.free--
		l.hold(h)
		return nil, nil //nolint:nilnil // nothing to wait for
	case l.queue.Len() >= maxWaiting && !commits(h.unit):
		return nil, ErrQueueFull
	}
	w := &waiter{lease: h, since: time.Now(), turn: make(chan struct{})}
	if commits(h.unit) {
		l.queue.PushFront(w)
	} else {
		l.queue.PushBack(w)
	}
	return w, nil
}

// commits says whether a unit is the journal's: one of hundreds of changes whose
// senders wait, and of which there are no more at a time than the journal has
// lanes. Under load reads are refused before writes are.
func commits(unit string) bool { return unit == "commit" || unit == "commit_reads" }

// overflow gives a waiter one of the connections beyond those that are kept. While
// so many are being opened already it stays where it is: opened comes back to it.
func (l *leases) overflow(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.grantNext(w)
}

// grantNext is overflow with mu held.
func (l *leases) grantNext(w *waiter) {
	if l.free == 0 || l.opening == openAtOnce || !l.dequeue(w) {
		return
	}
	l.free--
	l.opening++
	w.lease.opening = true
	l.hold(w.lease)
	close(w.turn)
}

// opened ends the opening of a connection, if it was one, and begins another for the
// first who has hesitated for long enough. Called with mu held.
func (l *leases) opened(h *lease) {
	if !h.opening {
		return
	}
	h.opening = false
	l.opening--
	for e := l.queue.Front(); e != nil; e = e.Next() {
		if w, _ := e.Value.(*waiter); time.Since(w.since) >= openDelay {
			l.grantNext(w)
			return
		}
	}
}

// dequeue takes a waiter out of the queue, if it is there. Called with mu held.
func (l *leases) dequeue(w *waiter) bool {
	for e := l.queue.Front(); e != nil; e = e.Next() {
		if e.Value == w {
			l.queue.Remove(e)
			return true
		}
	}
	return false
}

func (l *leases) hold(h *lease) {
	h.since = time.Now()
	h.soft = time.AfterFunc(l.watch.soft, func() { l.tooLong(h) })
	l.held[h] = struct{}{}
}

// leave takes a waiter out of the queue; false when its turn has come.
func (l *leases) leave(w *waiter) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dequeue(w)
}

// give ends a turn; a commit, or else the longest waiting, has the next.
func (l *leases) give(h *lease) {
	h.soft.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, h)
	first := l.queue.Front()
	if first == nil {
		l.free++
		l.quiet = false
		l.opened(h)
		return
	}
	w, _ := l.queue.Remove(first).(*waiter)
	w.lease.opening = h.opening // what could not be opened is the next one's to open
	l.hold(w.lease)
	close(w.turn)
}

// on notes which process of the server works for the unit.
func (l *leases) on(h *lease, pid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.pid = pid
	l.opened(h)
}

// tooLong reports one that has passed the soft limit, while it goes on.
func (l *leases) tooLong(h *lease) {
	l.mu.Lock()
	_, still := l.held[h]
	pid := h.pid
	l.mu.Unlock()
	if !still {
		return
	}
	l.observer.HeldLong(h.unit)
	l.watch.log.Warn("a unit of work holds its connection for long", "unit", h.unit, "held", time.Since(h.since).Round(time.Millisecond),
		"backend_pid", pid, "taken_by", h.takenBy())
}

// reportLongHolders reports all holders when somebody waits and the oldest holds for long:
// once until nobody waits any more.
func (l *leases) reportLongHolders() {
	l.mu.Lock()
	now := time.Now()
	oldest := time.Duration(0)
	for h := range l.held {
		oldest = max(oldest, now.Sub(h.since))
	}
	tell := oldest >= suspicious && !l.quiet && now.Sub(l.reported) >= reportEvery
	if tell {
		l.quiet, l.reported = true, now
	}
	l.mu.Unlock()
	if !tell {
		return
	}
	var held []string
	for _, h := range l.snapshot() {
		held = append(held, fmt.Sprintf("%s for %v (backend %d) by %s", h.Unit, h.For.Round(time.Millisecond), h.BackendPID, strings.Join(h.TakenBy, " < ")))
	}
	l.watch.log.Warn(l.exhausted(0), "holders", held)
}

// withHardLimit ends ctx when the unit has held its connection up to the hard limit.
func (l *leases) withHardLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.watch.hard, errHeldLong)
}

// countCancelled counts a unit that was cut off at the hard limit.
func (l *leases) countCancelled(ctx context.Context, h *lease, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errHeldLong) {
		return err
	}
	l.observer.Cancelled(h.unit)
	l.watch.log.Error("a unit of work was cancelled at its hard limit", "unit", h.unit, "held", time.Since(h.since).Round(time.Millisecond),
		"taken_by", h.takenBy())
	return errors.Join(err, errHeldLong)
}

// waiting is how many wait, and since when the first of them has.
func (l *leases) waiting() (n int, oldest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.queue.Front(); e != nil; e = e.Next() {
		w, _ := e.Value.(*waiter)
		oldest = max(oldest, time.Since(w.since))
	}
	return l.queue.Len(), oldest
}

// snapshot is every connection that is held, the longest first.
func (l *leases) snapshot() (all []Hold) {
	l.mu.Lock()
	held := make([]*lease, 0, len(l.held))
	for h := range l.held {
		held = append(held, h)
		all = append(all, Hold{Unit: h.unit, For: time.Since(h.since), BackendPID: h.pid})
	}
	l.mu.Unlock()
	for i, h := range held {
		all[i].TakenBy = h.takenBy() // what it is made of does not change
	}
	slices.SortFunc(all, func(a, b Hold) int { return int(b.For - a.For) })
	return all
}

// holders sums holds up by unit, the longest held first.
func holders(held []Hold) (all []Holder) {
	for _, h := range held {
		i := slices.IndexFunc(all, func(o Holder) bool { return o.Unit == h.Unit })
		if i < 0 {
			all, i = append(all, Holder{Unit: h.Unit}), len(all)
		}
		all[i].Count++
		all[i].Longest = max(all[i].Longest, h.For)
	}
	return all
}

// exhausted says in the words of the field what it is that there is no connection.
func (l *leases) exhausted(waited time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s reached", l.limit)
	if waited > 0 {
		fmt.Fprintf(&b, ", waited %v", waited.Round(time.Millisecond))
	}
	n, _ := l.waiting()
	fmt.Fprintf(&b, "; %d waiting; held by", n)
	for i, h := range holders(l.snapshot()) {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %d x %s (longest %v)", h.Count, h.Unit, h.Longest.Round(time.Millisecond))
	}
	return b.String()
}

// takenBy is the store's method that the unit of work is, and who called it.
func (h *lease) takenBy() (all []string) {
	const (
		ours = "github.com/chowk-chat/chowk/"
		most = 4
	)
	for frames, more := runtime.CallersFrames(h.sites[:]), true; more && len(all) < most; {
		var f runtime.Frame
		f, more = frames.Next()
		name, known := strings.CutPrefix(f.Function, ours)
		if !known || name == "" || plumbing(name) {
			continue
		}
		all = append(all, fmt.Sprintf("%s:%d", name[strings.LastIndexByte(name, '/')+1:], f.Line))
	}
	return all
}

// plumbing is what every unit of work has in its stack.
func plumbing(function string) bool {
	return strings.HasPrefix(function, "internal/database.")
}
