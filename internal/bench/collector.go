package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/chowk-chat/chowk/internal/async"
	"github.com/chowk-chat/chowk/internal/bench/report"
)

// collector adds up the ticks of all workers.
type collector struct {
	plan  *Plan
	scene scenario
	most  int64 // most sockets open at one time

	mu     sync.Mutex // guards what follows
	slots  []*slot
	phases []*phaseSum
	now    string
	gauges map[int]gauge // of each worker, by its first socket
}

// slot is one interval of the run.
type slot struct {
	Tick
	phase string
	// gauges are each worker's last ones in this slot, by its first socket.
	gauges map[int]gauge
}

type gauge struct{ open, usable int64 }

// phaseSum adds up one phase.
type phaseSum struct {
	Tick
	name    string
	began   time.Time
	seconds float64
}

// maxSlots bounds the points of a run: one per second for more than a day.
const maxSlots = 100_000

func newCollector(p *Plan, scene scenario) *collector {
	return &collector{plan: p, scene: scene, gauges: make(map[int]gauge)}
}

func (b *collector) begin(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = name
	b.phases = append(b.phases, &phaseSum{name: name, began: time.Now()})
}

func (b *collector) finish(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.phase(name); a != nil {
		a.seconds = time.Since(a.began).Seconds()
	}
}

func (b *collector) phase(name string) *phaseSum {
	for _, a := range b.phases {
		if a.name == name {
			return a
		}
	}
	return nil
}

// add adds a tick of one worker.
func (b *collector) add(t Tick) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.Slot < 0 || t.Slot >= maxSlots {
		return
	}
	for len(b.slots) <= t.Slot {
		b.slots = append(b.slots, nil)
	}
	if b.slots[t.Slot] == nil {
		b.slots[t.Slot] = &slot{gauges: make(map[int]gauge)}
	}
	s := b.slots[t.Slot]
	s.add(&t)
	if !t.After {
		s.gauges[t.First] = gauge{t.Open, t.Usable}
		b.gauges[t.First] = s.gauges[t.First]
	}
	if t.Phase == "" {
		return // the first phase has not begun
	}
	s.phase = t.Phase
	if a := b.phase(t.Phase); a != nil {
		a.add(&t)
	}
}

// points returns the slots in order, each with the sum of all workers' last gauges.
func (b *collector) points() []report.Point {
	var points []report.Point
	known := make(map[int]gauge)
	workers := 1
	for i, s := range b.slots {
		if s == nil {
			continue
		}
		point := report.Point{
			At: (time.Duration(i+1) * b.plan.Every).Seconds(), Phase: s.phase,
			Rates: make(map[string]float64),
		}
		for worker, g := range s.gauges {
			known[worker] = g
		}
		for _, g := range known {
			point.Open += g.open
			point.Usable += g.usable
		}
		workers = max(workers, len(known))
		seconds := s.Seconds / float64(workers)
		if b.most = max(b.most, point.Open); seconds < b.plan.Every.Seconds()/4 {
			continue // the last slot, cut short
		}
		for c, n := range s.Counts {
			point.Rates[counterNames[c]] = float64(n) / seconds
		}
		point.P50, point.P99 = quantiles(&s.Tick)
		points = append(points, point)
	}
	return points
}

func quantiles(t *Tick) (p50, p99 map[string]float64) {
	for c, h := range t.Clocks {
		if h == nil || h.TotalCount() == 0 {
			continue
		}
		if p50 == nil {
			p50, p99 = make(map[string]float64), make(map[string]float64)
		}
		p50[clockNames[c]], p99[clockNames[c]] = ms(h.ValueAtQuantile(50)), ms(h.ValueAtQuantile(99))
	}
	return p50, p99
}

func ms(us int64) float64 { return float64(us) / 1000 }

func latency(h *hdr.Histogram) report.Latency {
	return report.Latency{
		Count: h.TotalCount(), Mean: h.Mean() / 1000, P50: ms(h.ValueAtQuantile(50)), P90: ms(h.ValueAtQuantile(90)),
		P99: ms(h.ValueAtQuantile(99)), P999: ms(h.ValueAtQuantile(99.9)), Max: ms(h.Max()),
	}
}

// show reports the progress until ctx ends.
func (b *collector) show(ctx context.Context, see func(Now)) {
	for async.Sleep(ctx, progressEvery) {
		b.mu.Lock()
		now := Now{Scenario: b.plan.Scenario, Phase: b.now, Elapsed: time.Since(b.plan.Start), Whole: b.plan.Duration}
		if points := b.recent(); len(points) > 0 {
			now.Point = points[len(points)-1]
		}
		now.Point.Open, now.Point.Usable = 0, 0
		for _, g := range b.gauges {
			now.Point.Open += g.open
			now.Point.Usable += g.usable
		}
		b.mu.Unlock()
		see(now)
	}
}

// recent returns the points of the last few slots that all workers have reported.
func (b *collector) recent() []report.Point {
	tail := &collector{plan: b.plan, slots: b.slots[max(len(b.slots)-4, 0):]}
	points := tail.points()
	if len(points) > 1 {
		points = points[:len(points)-1] // some workers may not have reported it yet
	}
	return points
}

func (b *collector) report(interrupted bool, processes int) *report.Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.plan
	r := &report.Report{
		Title: "chowk bench " + p.Scenario, What: b.scene.what, Target: p.URL, Started: p.Start, Interrupted: interrupted,
		Machine: machine(), Settings: p.settings(processes), Points: b.points(),
	}
	for _, a := range b.phases {
		ph := report.Phase{
			Name: a.name, Seconds: a.seconds, Counts: make(map[string]int64), Codes: a.Codes,
			Latencies: make(map[string]report.Latency),
		}
		if ph.Seconds == 0 {
			ph.Seconds = time.Since(a.began).Seconds()
		}
		for c, n := range a.Counts {
			ph.Counts[counterNames[c]] = n
		}
		for c, h := range a.Clocks {
			if h != nil && h.TotalCount() > 0 {
				ph.Latencies[clockNames[c]] = latency(h)
			}
		}
		r.Phases = append(r.Phases, ph)
	}
	r.Findings = b.findings()
	return r
}

// findings returns what a reader should notice first.
func (b *collector) findings() []string {
	var sum Tick
	codes := make(map[string]int64)
	for _, a := range b.phases {
		sum.add(&a.Tick)
		for code, n := range a.Codes {
			codes[code] += n
		}
	}
	var said []string
	say := func(n int64, format string, args ...any) {
		if n > 0 {
			said = append(said, fmt.Sprintf(format, append([]any{report.Count(n)}, args...)...))
		}
	}
	c := &sum.Counts
	say(c[gaps], "%s messages were missing: a socket received a later one of the same channel first")
	say(c[repeats], "%s messages arrived twice or out of order")
	if b.scene.expectsAll && c[unanswered] == 0 && c[ended] == 0 && b.most == int64(b.plan.Sockets) &&
		len(b.plan.Identity.Tokens) == 0 && b.even() {
		say(c[stored]*int64(b.plan.ChannelSize)-c[delivered], "%s deliveries were still missing at the end")
	}
	say(int64(b.plan.Sockets)-b.most, "%s sockets of %s were never open at the same time as the others",
		report.Count(int64(b.plan.Sockets)))
	say(c[ended], "%s sockets were closed by the server or the network")
	say(c[unanswered], "%s commands had no answer when their socket closed")
	say(codes["rate_limited"],
		"%s commands were refused by the limit for one socket (limits.commands-per-second): "+
			"use more senders, or raise it for the measurement")
	say(codes["overloaded"], "%s commands or handshakes were refused because the server was busy")
	say(codes["http 503"], "%s handshakes were refused with 503 by the limits for handshakes "+
		"(limits.handshakes-per-second) or sockets (limits.sockets, open files)")
	return said
}

// even reports whether all channels have the same number of sockets.
func (b *collector) even() bool { return b.plan.Sockets%b.plan.ChannelSize == 0 }

func (p *Plan) settings(processes int) []report.Setting {
	all := []report.Setting{
		{Name: "sockets", Value: report.Count(int64(p.Sockets))},
		{Name: "opened per second", Value: fmt.Sprint(p.ConnectRate)},
		{Name: "duration", Value: p.Duration.String()},
		{Name: "processes", Value: fmt.Sprint(processes)},
	}
	if scenarios[p.Scenario].needsChannels {
		rate := fmt.Sprintf("%v per second in total", p.Rate)
		if p.Rate == 0 {
			rate = fmt.Sprintf("as fast as answers arrive, %d in flight for each sender", p.InFlight)
		}
		all = append(all,
			report.Setting{Name: "sockets in a channel", Value: report.Count(int64(p.ChannelSize))},
			report.Setting{Name: "senders", Value: report.Count(int64(p.senders()))},
			report.Setting{Name: "events", Value: rate},
			report.Setting{Name: "content", Value: report.Bytes(float64(p.Size))})
	}
	return all
}
