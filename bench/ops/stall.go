//go:build !windows

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/chowk-chat/chowk/internal/async"
)

const (
	// gaveUp is when a client has given up on an answer.
	gaveUp = 2 * time.Second
	// calm is the undisturbed time before and after a fault.
	calm = 10 * time.Second
	slot = 100 * time.Millisecond
)

// stalled freezes the database under load.
func (b *bench) stalled(ctx context.Context, r *result) error {
	url, err := b.database("postgres")
	if err != nil {
		return err
	}
	s, err := b.serve(ctx, url, generous...)
	if err != nil {
		return err
	}
	defer func() { _ = s.Stop() }()
	group, err := newSenderGroup(ctx, s.url, "sender", b.senders)
	if err != nil {
		return err
	}
	defer group.close()
	others := b.foreign(s)
	full, err := capacity(ctx, group)
	if err != nil {
		return err
	}
	r.figure("full load: acknowledged per second, each sender waiting for its answer", full, "/s")
	offered := full * 0.8
	r.figure("offered at random times, regardless of answers", offered, "/s")
	watched := s.watch(ctx)
	begin, frozen, thawed, err := b.freeze(ctx, group, offered)
	watched.stop()
	if err != nil {
		return err
	}
	all := group.messages(begin)
	r.Foreign = others.percent()
	r.Points = points(all, begin)
	b.judgeStall(r, all, frozen, thawed, offered)
	r.figure("connections to the database, at most", watched.connections, "")
	r.figure("memory of the server, at most", watched.memory/(1<<20), "MiB")
	r.figure("goroutines of the server, at most", watched.goroutines, "")
	r.figure("requests to /healthz", float64(watched.requests), "")
	r.figure("  not answered with 200 within a second", float64(watched.silent), "")
	r.figure("  the slowest", ms(watched.slowest), "ms")
	r.figure("requests that /readyz did not answer with 200", float64(watched.notReady), "")
	r.mark("connections to the database", watched.connections, 30)
	r.mark("requests to /healthz without an answer", float64(watched.silent), 0)
	unsure, kept, err := verify(ctx, url, group.messages(time.Time{}))
	r.figure("of unknown outcome", float64(unsure), "")
	r.figure("  of them stored", float64(kept), "")
	return err
}

// capacity returns the rate when every sender waits for its answer.
func capacity(ctx context.Context, c *senderGroup) (perSecond float64, err error) {
	const warm, length = 2 * time.Second, 6 * time.Second
	run, cancel := context.WithTimeout(ctx, warm+length)
	defer cancel()
	if err := c.sendUnpaced(run); err != nil {
		return 0, err
	}
	n := 0
	for _, m := range c.messages(c.began.Add(warm)) {
		if m.outcome == acked && m.due.Add(m.took).Before(c.began.Add(warm+length)) {
			n++
		}
	}
	return float64(n) / length.Seconds(), nil
}

// freeze lets all senders send, and freezes the database for a while in between.
func (b *bench) freeze(ctx context.Context, c *senderGroup, perSecond float64) (begin, frozen, thawed time.Time,
	err error,
) {
	run, stop := context.WithCancel(ctx)
	defer stop()
	talked := make(chan error, 1)
	begin = time.Now()
	go func() { talked <- c.sendAt(run, perSecond) }() // ends with stop
	async.Sleep(ctx, calm)
	b.pg.Pause()
	frozen = time.Now()
	async.Sleep(ctx, b.stall)
	b.pg.Continue()
	thawed = time.Now()
	async.Sleep(ctx, calm)
	stop()
	if err = <-talked; err == nil {
		err = c.settle(ctx)
	}
	return begin, frozen, thawed, err
}

// judgeStall records the answers before, during and after the stall.
func (b *bench) judgeStall(r *result, all []message, frozen, thawed time.Time, offered float64) {
	before := span(all, frozen.Add(-calm/2), frozen)
	during := span(all, frozen.Add(slot), thawed)
	after := span(all, thawed.Add(time.Second), thawed.Add(calm))
	for _, p := range []struct {
		name string
		of   summary
	}{{"before", before}, {"during", during}, {"after (from one second later)", after}} {
		r.figure(p.name+": acknowledged in time", p.of.perSecond, "/s")
		r.figure("  p50 of these", p.of.p50, "ms")
		r.figure("  p99 of these", p.of.p99, "ms")
		r.figure("  refused", float64(p.of.refused), "")
		r.figure("  p99 of refusals", p.of.refusedP99, "ms")
	}
	late, worst := 0, time.Duration(0)
	for i := range all {
		if all[i].took > gaveUp {
			late++
		}
		worst = max(worst, all[i].took)
	}
	r.figure("messages sent", float64(len(all)), "")
	r.figure(fmt.Sprintf("  answered after their client had given up (%v)", gaveUp), float64(late), "")
	r.figure("  the latest answer", ms(worst), "ms")
	back := recovery(all, thawed, offered, before.p99)
	r.figure("recovery: from the end of the stall until answers are as before", back, "s")
	r.mark("answers after the client had given up, % of all", float64(late)/float64(len(all))*100, 0.1)
	r.mark("recovery, s", back, 1)
}

// summary is how the messages due in one period were answered.
type summary struct {
	perSecond, p50, p99 float64
	refused             int
	refusedP99          float64
}

func span(all []message, from, to time.Time) (s summary) {
	var took, refusals []time.Duration
	for i := range all {
		m := &all[i]
		switch {
		case m.due.Before(from) || !m.due.Before(to):
		case m.outcome == acked && m.took <= gaveUp:
			took = append(took, m.took)
		default:
			refusals = append(refusals, m.took)
		}
	}
	s.perSecond = float64(len(took)) / to.Sub(from).Seconds()
	s.p50, s.p99 = quantile(took, 0.5), quantile(took, 0.99)
	s.refused, s.refusedP99 = len(refusals), quantile(refusals, 0.99)
	return s
}

// recovery returns when, after the end of the stall, messages are answered as before:
// the first slot from which on, for a second, as many are acknowledged in time as are
// due, with a p99 of at most twice the one before.
func recovery(all []message, thawed time.Time, offered, p99 float64) float64 {
	for from := thawed; from.Before(thawed.Add(calm - time.Second)); from = from.Add(slot) {
		s := span(all, from, from.Add(time.Second))
		if s.perSecond >= 0.9*offered && s.p99 <= max(2*p99, 5) {
			return from.Sub(thawed).Seconds()
		}
	}
	return calm.Seconds() // or later
}

// points returns the answers of each slot, by when the messages were due.
func points(all []message, begin time.Time) (points []point) {
	slots := make(map[int][]*message)
	last := 0
	for i := range all {
		n := int(all[i].due.Sub(begin) / slot)
		slots[n] = append(slots[n], &all[i])
		last = max(last, n)
	}
	for n := range last + 1 {
		var took []time.Duration
		ok := 0
		for _, m := range slots[n] {
			took = append(took, m.took)
			if m.outcome == acked && m.took <= gaveUp {
				ok++
			}
		}
		points = append(points, point{At: (time.Duration(n) * slot).Seconds(), Values: map[string]float64{
			"due": float64(len(slots[n])), "acked": float64(ok), "p50_ms": quantile(took, 0.5), "p99_ms": quantile(took, 0.99),
		}})
	}
	return points
}

// quantile returns a quantile in milliseconds; 0 of none.
func quantile(all []time.Duration, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return ms(all[min(int(q*float64(len(all))), len(all)-1)])
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
