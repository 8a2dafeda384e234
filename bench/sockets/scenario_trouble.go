package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/bench/internal/usage"
)

// runLoop is the client that once brought a server down: it opens forty sockets per
// second and leaks seven of them. A thousand other sockets receive an event twenty
// times per second.
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
			cpu := usage.Process(t.pid(), false)
			err := t.load(1, rate*b.seconds, rate)
			if err == nil {
				err = tr.wait(time.Minute)
			}
			used := usage.Process(t.pid(), false) - cpu
			cancel()
			wg.Wait()
			if err != nil {
				return err
			}
			b.add("loop", "chowk", value{"attempts", float64(opened.Load() + refused.Load()), ""},
				value{"refused", float64(refused.Load()), ""},
				value{"p50", tr.latency(0.5), " ms"}, value{"p99", tr.latency(0.99), " ms"}, value{"cpu", used, " s"})
		}
		// The user has reached the limit: what does a refusal cost?
		const attempts = 4000
		cpu := usage.Process(t.pid(), false)
		refused := 0
		for range attempts {
			var r errRefused
			if _, err := looping.dial(others, t.at(others, others)); errors.As(err, &r) {
				refused++
			}
		}
		used := usage.Process(t.pid(), false) - cpu
		b.add("loop", "chowk refusing", value{"refused", float64(refused), ""},
			value{"cpu", used / attempts * 1e6, " µs each"})
		return nil
	})
}

// leak opens forty sockets per second for user i, and closes all but seven of them.
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

// runStorm opens all sockets as fast as possible.
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
		cpu, start := usage.Process(t.pid(), false), time.Now()
		_, err = fl.open(0, b.idle, 256, func(i int) address { return addresses[i] })
		if err == nil {
			err = until(time.Minute, func() bool { return greeted.Load() >= int64(b.idle) })
		}
		took, used := time.Since(start).Seconds(), usage.Process(t.pid(), false)-cpu
		close(done)
		wg.Wait()
		if err != nil {
			return fmt.Errorf("storm: %w", err)
		}
		b.add("storm", "chowk", value{"sockets", float64(b.idle), ""}, value{"in", took, " s"},
			value{"per cpu second", float64(b.idle) / used, ""},
			value{"database connections", float64(most), ""}, value{"asked to come later", float64(fl.later.Load()), ""})
		return nil
	})
}
