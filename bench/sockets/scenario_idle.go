package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chowk-chat/chowk/bench/internal/usage"
)

// otherChannels are a user's channels besides the measured one: ten in all.
const otherChannels = 9

// runIdle opens a third of the sockets, and then the rest. With chowk, a socket is in
// ten channels of a hundred members, with the others in one.
func (b *bench) runIdle() error {
	const few = 1000
	groupSize = 100
	return b.each(otherChannels, func(t target, fl *fleet) error {
		if err := t.prepare(b.idle, groupSize); err != nil {
			return err
		}
		type point struct {
			rss float64
			m   memory
		}
		look := func() (p point, err error) {
			time.Sleep(b.settle)
			if p.m, err = t.memory(); err != nil {
				return p, err
			}
			time.Sleep(time.Second)
			p.rss = usage.AnonymousMemory(t.pid())
			return p, nil
		}
		// A thousand sockets come first: what a server needs once, such as its database
		// connections, is not the cost of a socket.
		if _, err := fl.open(0, few, 64, func(i int) address { return t.at(i, groupSize) }); err != nil {
			return err
		}
		before, err := look()
		if err != nil {
			return err
		}
		have, first := few, before
		for _, n := range []int{b.idle / 3, b.idle} {
			from := have
			if _, err := fl.open(have, n-have, 64, func(i int) address { return t.at(i, groupSize) }); err != nil {
				return err
			}
			have = n
			after, err := look()
			if err != nil {
				return err
			}
			sockets := float64(n - few)
			b.add("idle", t.name(), value{"sockets", float64(n), ""},
				value{"rss", (after.rss - before.rss) / sockets, " B"},
				value{"heap+stack", (float64(after.m.Heap+after.m.Stack) - float64(before.m.Heap+before.m.Stack)) / sockets, " B"},
				value{"live heap", (float64(after.m.Live) - float64(before.m.Live)) / sockets, " B"},
				value{"each of the last, rss", (after.rss - first.rss) / float64(n-from), " B"},
				value{"goroutines", float64(after.m.Goroutines), ""})
			first = after
		}
		if c, ok := t.(*chowk); ok && b.profile != "" {
			heap, err := c.get("/debug/pprof/heap?gc=1")
			if err != nil {
				return err
			}
			return os.WriteFile(b.profile, heap, 0o644)
		}
		return nil
	})
}

// runEcho lets 200 sockets send 50 small events per second each, with idle sockets and
// without.
func (b *bench) runEcho() error {
	const busy, perSecond = 200, 50
	groupSize = 100
	return b.each(0, func(t target, fl *fleet) error {
		if t.name() == "write" {
			return nil // it does not answer
		}
		if err := t.prepare(b.sockets+busy, groupSize); err != nil {
			return err
		}
		at := func(i int) address { return t.at(i, groupSize) }
		active, err := fl.open(0, busy, 64, at)
		if err != nil {
			return err
		}
		for _, idle := range []int{0, b.sockets} {
			if idle > 0 {
				if _, err := fl.open(busy, idle, 64, at); err != nil {
					return err
				}
				time.Sleep(2 * time.Second)
			}
			used, took := echo(t, fl, active, perSecond, b.seconds)
			events := float64(len(took))
			b.add("echo", t.name(), value{"idle", float64(idle), ""}, value{"cpu", used / events * 1e6, " s/M"},
				value{"p50", quantile(took, 0.5), " ms"}, value{"p99", quantile(took, 0.99), " ms"},
				value{"events", events / float64(b.seconds), "/s"})
		}
		return nil
	})
}

func echo(t target, fl *fleet, active []*sock, perSecond, seconds int) (used float64, took []int64) {
	var mu sync.Mutex
	fl.on = func(s *sock, _ []byte) {
		if sent := s.sent.Swap(0); sent > 0 {
			d := time.Now().UnixNano() - sent
			mu.Lock()
			took = append(took, d)
			mu.Unlock()
		}
	}
	cpu := usage.Process(t.pid(), false)
	question := t.ask(1)
	var late atomic.Int64
	var wg sync.WaitGroup
	for _, s := range active {
		wg.Go(func() {
			period := time.Second / time.Duration(perSecond)
			time.Sleep(rand.N(period))
			for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end); time.Sleep(period) {
				if !s.sent.CompareAndSwap(0, time.Now().UnixNano()) {
					late.Add(1)
					continue
				}
				s.send(question)
			}
		})
	}
	wg.Wait()
	time.Sleep(200 * time.Millisecond)
	used = usage.Process(t.pid(), false) - cpu
	fl.on = func(*sock, []byte) {}
	mu.Lock()
	defer mu.Unlock()
	if n := late.Load(); n > 0 {
		fmt.Printf("           %s: %d events were not sent because the one before was not answered\n", t.name(), n)
	}
	return used, took
}
