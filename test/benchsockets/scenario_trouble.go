package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// runSlow: a tenth of the sockets stop reading for thirty seconds. The others must
// not notice, and the slow ones must have everything afterwards.
func (b *bench) runSlow() error {
	const pause = 30
	groupSize = b.sockets
	return b.onlyChowk(0, func(t *chowk, fl *fleet) error {
		if err := t.prepare(b.sockets, b.sockets); err != nil {
			return err
		}
		slow := b.sockets / 10
		socks, err := fl.open(0, b.sockets, 64, func(i int) address {
			a := t.at(i, b.sockets)
			if i < slow {
				a.receive = 16 << 10 // so that it is the server that has to wait, not the client's kernel
			}
			return a
		})
		if err != nil {
			return err
		}
		healthy := int32(b.sockets - slow)
		events := b.rate * (10 + pause)
		tr := trackOrdered(fl, socks, events, healthy, slow)
		for _, part := range []struct {
			name  string
			first int
			count int
			stuck bool
		}{{"all read", 0, b.rate * 10, false}, {"slow ones", b.rate * 10, b.rate * pause, true}} {
			for _, s := range socks[:slow] {
				s.stuck.Store(part.stuck)
			}
			rss := rssOf(t.pid())
			if err := t.loadFrom(part.first, part.count, b.rate); err != nil {
				return err
			}
			if err := until(time.Minute, func() bool { return tr.complete(part.first, part.count) }); err != nil {
				return err
			}
			b.add("slow", t.name()+" "+part.name, value{"p50", tr.quantile(part.first, part.count, 0.5), " ms"}, value{"p99", tr.quantile(part.first, part.count, 0.99), " ms"},
				value{"rss growth", (rssOf(t.pid()) - rss) / float64(slow) / 1024, " KiB per slow socket"})
		}
		start := time.Now()
		for _, s := range socks[:slow] {
			s.wakeUp()
		}
		err = until(2*time.Minute, func() bool {
			for _, s := range socks[:slow] {
				if atomic.LoadInt32(&s.last) != int32(events) {
					return false
				}
			}
			return true
		})
		missing, wrong, closed := 0, 0, 0
		for i, s := range socks {
			if i < slow && atomic.LoadInt32(&s.last) != int32(events) {
				missing++
			}
			if s.wrong.Load() > 0 {
				wrong++
			}
			if s.closed.Load() {
				closed++
			}
		}
		b.add("slow", "chowk woken", value{"level after", time.Since(start).Seconds(), " s"}, value{"without all events", float64(missing), ""},
			value{"out of order or twice", float64(wrong), ""}, value{"closed", float64(closed), ""})
		return err
	})
}

// ordered is a tracker of events that every socket must have in order.
type ordered struct {
	tracker
}

func trackOrdered(fl *fleet, socks []*sock, events int, healthy int32, slow int) *ordered {
	tr := &ordered{tracker{want: healthy, got: make([]atomic.Int32, events), took: make([]atomic.Int64, events)}}
	isSlow := make(map[*sock]bool)
	for _, s := range socks[:slow] {
		isSlow[s] = true
	}
	fl.on = func(s *sock, payload []byte) {
		numbers(payload, func(n int, sent int64) {
			if last := atomic.LoadInt32(&s.last); int(last) != n {
				s.wrong.Add(1)
			}
			atomic.StoreInt32(&s.last, int32(n+1))
			if !isSlow[s] && tr.got[n].Add(1) == tr.want {
				tr.took[n].Store(time.Now().UnixNano() - sent)
			}
		})
	}
	return tr
}

func (t *ordered) complete(first, count int) bool {
	for i := first; i < first+count; i++ {
		if t.took[i].Load() == 0 {
			return false
		}
	}
	return true
}

func (t *ordered) quantile(first, count int, q float64) float64 {
	var all []int64
	for i := first; i < first+count; i++ {
		all = append(all, t.took[i].Load())
	}
	return quantile(all, q)
}

// loadFrom sends events with numbers from first on to group 0.
func (c *chowk) loadFrom(first, count, rate int) error {
	var failed error
	pace(count, rate, func(n int) {
		if err := c.publish(0, content(first+n, messageBytes)); err != nil {
			failed = err
		}
	})
	return failed
}

// runLoop is the client that once stopped a server: it opens forty sockets a second
// and leaks seven of them. A thousand others hear an event twenty times a second.
func (b *bench) runLoop() error {
	const others, rate = 1000, 20
	groupSize = others
	return b.onlyChowk(0, func(t *chowk, fl *fleet) error {
		if err := t.prepare(others+1, others); err != nil {
			return err
		}
		if _, err := fl.open(0, others, 64, func(i int) address { return t.at(i, others) }); err != nil {
			return err
		}
		looping, err := newFleet()
		if err != nil {
			return err
		}
		defer looping.close()
		for _, loop := range []bool{false, true} {
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			var opened, refused atomic.Int64
			if loop {
				wg.Go(func() { t.leak(ctx, looping, others, &opened, &refused) })
			}
			tr := track(fl, rate*b.seconds, others)
			cpu := cpuOf(t.pid())
			err := t.loadFrom(0, rate*b.seconds, rate)
			if err == nil {
				err = tr.wait(time.Minute)
			}
			used := cpuOf(t.pid()) - cpu
			cancel()
			wg.Wait()
			if err != nil {
				return err
			}
			b.add("loop", "chowk", value{"attempts", float64(opened.Load() + refused.Load()), ""}, value{"refused", float64(refused.Load()), ""},
				value{"p50", tr.latency(0.5), " ms"}, value{"p99", tr.latency(0.99), " ms"}, value{"cpu", used, " s"})
		}
		// The user has as many as he may have: what does saying no cost?
		const attempts = 4000
		cpu := cpuOf(t.pid())
		refused := 0
		for range attempts {
			var r errRefused
			if _, err := looping.dial(others, t.at(others, others)); errors.As(err, &r) {
				refused++
			}
		}
		used := cpuOf(t.pid()) - cpu
		b.add("loop", "chowk refusing", value{"refused", float64(refused), ""}, value{"cpu", used / attempts * 1e6, " µs each"})
		return nil
	})
}

// leak opens forty sockets a second for user i, and closes all but seven of them.
func (c *chowk) leak(ctx context.Context, fl *fleet, i int, opened, refused *atomic.Int64) {
	tick := time.NewTicker(time.Second / 40)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s, err := fl.dial(i, c.at(i, groupSize))
		if err != nil {
			refused.Add(1)
			continue
		}
		opened.Add(1)
		if n%40 >= 7 {
			s.conn.Load().Close(nil)
		}
	}
}

// runStorm opens all sockets as fast as it goes.
func (b *bench) runStorm() error {
	groupSize = 100
	return b.onlyChowk(otherChannels, func(t *chowk, fl *fleet) error {
		if err := t.prepare(b.idle, groupSize); err != nil {
			return err
		}
		addresses := make([]address, b.idle)
		for i := range addresses {
			addresses[i] = t.at(i, groupSize)
		}
		var greeted atomic.Int64
		fl.on = func(*sock, []byte) { greeted.Add(1) }
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		db, err := pgx.Connect(ctx, t.pg.URL())
		if err != nil {
			return err
		}
		defer func() { _ = db.Close(ctx) }()
		most, done := 0, make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				if n, err := t.connections(ctx, db); err == nil {
					most = max(most, n)
				}
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
		cpu, start := cpuOf(t.pid()), time.Now()
		_, err = fl.open(0, b.idle, 256, func(i int) address { return addresses[i] })
		if err == nil {
			err = until(time.Minute, func() bool { return greeted.Load() >= int64(b.idle) })
		}
		took, used := time.Since(start).Seconds(), cpuOf(t.pid())-cpu
		close(done)
		wg.Wait()
		if err != nil {
			return fmt.Errorf("storm: %w", err)
		}
		b.add("storm", "chowk", value{"sockets", float64(b.idle), ""}, value{"in", took, " s"}, value{"per cpu second", float64(b.idle) / used, ""},
			value{"database connections", float64(most), ""}, value{"told to come later", float64(fl.later.Load()), ""})
		return nil
	})
}
