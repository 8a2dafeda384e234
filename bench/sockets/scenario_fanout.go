package main

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/usage"
)

// tracker follows events until the last socket has received them.
type tracker struct {
	want      int32
	delivered atomic.Int64
	got       []atomic.Int32
	bytes     atomic.Int64   // of one message
	took      []atomic.Int64 // from sending to the last socket, in nanoseconds
}

func track(fl *fleet, events, listeners int) *tracker {
	t := &tracker{want: int32(listeners), got: make([]atomic.Int32, events), took: make([]atomic.Int64, events)}
	fl.on = func(_ *sock, payload []byte) {
		numbers(payload, func(n int, sent int64) {
			if n >= len(t.got) {
				return
			}
			if t.delivered.Add(1) == 1 {
				t.bytes.Store(int64(len(payload)))
			}
			if t.got[n].Add(1) == t.want {
				t.took[n].Store(time.Now().UnixNano() - sent)
			}
		})
	}
	return t
}

func (t *tracker) wait(limit time.Duration) error {
	want := int64(len(t.got)) * int64(t.want)
	if err := until(limit, func() bool { return t.delivered.Load() >= want }); err != nil {
		return fmt.Errorf("%d of %d deliveries: %w", t.delivered.Load(), want, err)
	}
	return nil
}

// latency returns a quantile of the time to the last socket.
func (t *tracker) latency(q float64) float64 {
	var all []int64
	for i := range t.took {
		if d := t.took[i].Load(); d > 0 {
			all = append(all, d)
		}
	}
	return quantile(all, q)
}

// quantile returns a quantile of durations in nanoseconds, in milliseconds.
func quantile(all []int64, q float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return float64(all[min(len(all)-1, int(q*float64(len(all))))]) / 1e6
}

// fanOut measures one way to publish, after a warm-up.
func (b *bench) fanOut(scenario string, size, count, rate int) error {
	groupSize = size
	groups := b.sockets / size
	return b.each(0, func(t target, fl *fleet) error {
		if err := t.prepare(b.sockets, size); err != nil {
			return err
		}
		if _, err := fl.open(0, b.sockets, 64, func(i int) address { return t.at(i, size) }); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // a socket that has its connection frame may not be subscribed yet
		warm := track(fl, groups, size)
		if err := t.load(groups, groups, max(rate, 50)); err != nil {
			return err
		}
		if err := warm.wait(time.Minute); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // garbage of the handshakes, and presence
		tr := track(fl, count, size)
		cpu, all, start := usage.Process(t.pid(), false), usage.Machine(), time.Now()
		if err := t.load(groups, count, rate); err != nil {
			return err
		}
		if err := tr.wait(2 * time.Minute); err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		used := usage.Process(t.pid(), false) - cpu
		millions := float64(tr.delivered.Load()) / 1e6
		b.add(scenario, t.name(),
			value{"cpu", used / millions, " s/M"}, value{"p50", tr.latency(0.5), " ms"}, value{"p99", tr.latency(0.99), " ms"},
			value{"frame", float64(tr.bytes.Load()), " B"}, value{"deliveries", millions / took * 1e6, "/s"},
			value{"machine", (usage.Machine() - all) / took, " cores"})
		return nil
	})
}

// runBroadcast uses one channel with all sockets, at a rate that leaves no backlog.
func (b *bench) runBroadcast() error { return b.fanOut("broadcast", b.sockets, 4*b.seconds, 4) }

// runGroups uses channels of ten, with 2,000 events per second.
func (b *bench) runGroups() error { return b.fanOut("groups", 10, 2000*b.seconds, 2000) }

// runBacklog uses one channel with all sockets, as fast as possible.
func (b *bench) runBacklog() error { return b.fanOut("backlog", b.sockets, 20*b.seconds, 0) }
