package database

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// reportHeldLong reports a unit that is past the soft limit, while it goes on.
func (l *leases) reportHeldLong(h *lease) {
	l.mu.Lock()
	_, held := l.held[h]
	pid := h.pid
	l.mu.Unlock()
	if !held {
		return
	}
	l.observer.HeldLong(h.unit)
	l.log.Warn("a unit of work has held its connection past the soft limit", "unit", h.unit,
		"held", time.Since(h.since).Round(time.Millisecond), "backend_pid", pid, "taken_by", h.takenBy())
}

// withHardLimit returns a context that ends when the unit has held its connection up
// to the hard limit.
func (l *leases) withHardLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, l.holdHard, errHeldTooLong)
}

// countCancelled reports a unit that was cancelled at the hard limit.
func (l *leases) countCancelled(ctx context.Context, h *lease, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errHeldTooLong) {
		return err
	}
	l.observer.Cancelled(h.unit)
	l.log.Error("a unit of work was cancelled at the hard limit", "unit", h.unit,
		"held", time.Since(h.since).Round(time.Millisecond), "taken_by", h.takenBy())
	return errors.Join(err, errHeldTooLong)
}

// reportLongHolders logs all holders when a unit waits and the oldest lease is held
// for longHold. It logs once until the queue is empty again.
func (l *leases) reportLongHolders() {
	if !l.reportDue() {
		return
	}
	var held []string
	for _, h := range l.snapshot() {
		held = append(held, fmt.Sprintf("%s for %v (backend %d) by %s",
			h.Unit, h.For.Round(time.Millisecond), h.BackendPID, strings.Join(h.TakenBy, " < ")))
	}
	l.log.Warn(l.exhausted(0), "holders", held)
}

func (l *leases) reportDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	oldest := time.Duration(0)
	for h := range l.held {
		oldest = max(oldest, now.Sub(h.since))
	}
	if oldest < longHold || l.quiet || now.Sub(l.reported) < reportInterval {
		return false
	}
	l.quiet, l.reported = true, now
	return true
}

// snapshot returns the leases that are held, the longest first.
func (l *leases) snapshot() (all []Hold) {
	l.mu.Lock()
	held := make([]*lease, 0, len(l.held))
	for h := range l.held {
		held = append(held, h)
		all = append(all, Hold{Unit: h.unit, For: time.Since(h.since), BackendPID: h.pid})
	}
	l.mu.Unlock()
	for i, h := range held {
		all[i].TakenBy = h.takenBy() // from what does not change
	}
	slices.SortFunc(all, func(a, b Hold) int { return int(b.For - a.For) })
	return all
}

// exhausted describes who uses up the connections.
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

const (
	modulePath  = "github.com/chowk-chat/chowk/"
	packagePath = modulePath + "internal/database."
	maxCallers  = 4
)

// takenBy returns the method that runs the unit of work, followed by its callers.
func (h *lease) takenBy() (all []string) {
	for frames, more := runtime.CallersFrames(h.callers[:]), true; more && len(all) < maxCallers; {
		var f runtime.Frame
		f, more = frames.Next()
		if !strings.HasPrefix(f.Function, modulePath) || strings.HasPrefix(f.Function, packagePath) {
			continue
		}
		all = append(all, fmt.Sprintf("%s:%d", f.Function[strings.LastIndexByte(f.Function, '/')+1:], f.Line))
	}
	return all
}
