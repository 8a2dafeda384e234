//go:build !windows

package main

import (
	"cmp"
	"context"
	"slices"

	"github.com/chowk-chat/chowk/bench/internal/steps"
	"github.com/chowk-chat/chowk/internal/store"
)

// all lists the steps.
var all = []steps.Step[*bench]{
	{Name: "postgres/1000-channels", About: aboutChannels, Do: func(ctx context.Context, b *bench) error {
		return b.against(ctx, "postgres/1000-channels", "postgres", newWorld(200, 1000, 20), 10)
	}},
	{Name: "postgres/hot-channel", About: aboutHot, Do: func(ctx context.Context, b *bench) error {
		return b.against(ctx, "postgres/hot-channel", "postgres", newWorld(200, 1, 1), 25)
	}},
	{
		Name: "postgres/ceiling", About: "2,000 senders compared with COPY over the same number of connections",
		Do: func(ctx context.Context, b *bench) error { return b.ceiling2000(ctx) },
	},
	{
		Name: "postgres/one-connection", About: "pool.size=1, overflow=0 compared with 10 + 20",
		Do: func(ctx context.Context, b *bench) error { return b.oneConnection(ctx) },
	},
	{Name: "postgres/half-load", About: aboutHalf, Do: func(ctx context.Context, b *bench) error {
		return b.half(ctx, "postgres/half-load", "postgres")
	}},
	{
		Name: "postgres/storm", About: aboutStorm,
		Do: func(ctx context.Context, b *bench) error { return b.storm(ctx, "postgres") },
	},
	{Name: "sqlite/1000-channels", About: aboutChannels, Do: func(ctx context.Context, b *bench) error {
		return b.against(ctx, "sqlite/1000-channels", "sqlite", newWorld(200, 1000, 20), 2)
	}},
	{Name: "sqlite/hot-channel", About: aboutHot, Do: func(ctx context.Context, b *bench) error {
		return b.against(ctx, "sqlite/hot-channel", "sqlite", newWorld(200, 1, 1), 2)
	}},
	{Name: "sqlite/half-load", About: aboutHalf, Do: func(ctx context.Context, b *bench) error {
		return b.half(ctx, "sqlite/half-load", "sqlite")
	}},
	{
		Name: "sqlite/storm", About: aboutStorm,
		Do: func(ctx context.Context, b *bench) error { return b.storm(ctx, "sqlite") },
	},
}

const (
	aboutChannels = "200 senders: the journal compared with a transaction per event"
	aboutHot      = "200 senders in one channel"
	aboutHalf     = "the ack's p99 at half load compared with that of a single commit"
	aboutStorm    = "20,000 users' memberships at once"
)

// against measures the journal and the old way, one after the other.
func (b *bench) against(ctx context.Context, name, kind string, w *world, atLeast float64) error {
	j := oneJob{step: name, kind: kind, world: w, senders: 200}
	ours, err := b.viaChowk(ctx, "journal", j)
	if err != nil {
		return err
	}
	old, err := b.viaEvents(ctx, j)
	if err != nil {
		return err
	}
	b.mark(name+": journal / transaction per event", ours.PerSecond/old.PerSecond, true, atLeast, ours, old)
	if kind == "postgres" && len(w.channels) > 1 {
		b.mark(name+": CPU s per million, chowk and its senders", ours.OwnCPU, false, 20, ours)
		b.mark(name+": CPU s per million, PostgreSQL", ours.PostgresCPU, false, 25, ours)
	}
	if kind == "sqlite" && len(w.channels) > 1 {
		b.mark(name+": CPU s per million, chowk with SQLite", ours.OwnCPU, false, 22, ours)
		b.mark(name+": messages/s", ours.PerSecond, true, 40_000, ours)
	}
	return nil
}

func (b *bench) ceiling2000(ctx context.Context) error {
	const name, connections = "postgres/ceiling", 2
	w := newWorld(2000, 1000, 20)
	var ours, raws []measurement
	for range 3 { // by turns: the speed of these machines varies
		m, err := b.viaChowk(ctx, "journal", oneJob{step: name, kind: "postgres", world: w, senders: 2000})
		if err != nil {
			return err
		}
		db, err := b.fresh(ctx, "postgres", w)
		if err != nil {
			return err
		}
		raw, err := db.(postgres).ceiling(ctx, b, w, connections)
		if err != nil {
			return err
		}
		raw.Step = name
		ours, raws = append(ours, m), append(raws, b.add(raw))
	}
	m, raw := median(ours), median(raws)
	b.mark(name+": journal / COPY over as many connections, medians", m.PerSecond/raw.PerSecond, true, 0.6, m, raw)
	return nil
}

// median returns the middle one by rate.
func median(all []measurement) measurement {
	slices.SortFunc(all, func(a, b measurement) int { return cmp.Compare(a.PerSecond, b.PerSecond) })
	return all[len(all)/2]
}

func (b *bench) oneConnection(ctx context.Context) error {
	const name = "postgres/one-connection"
	j := oneJob{step: name, kind: "postgres", world: newWorld(200, 1000, 20), senders: 200}
	many, err := b.viaChowk(ctx, "journal, pool 10 + 20", j)
	if err != nil {
		return err
	}
	j.pool = store.Pool{Size: 1, Overflow: -1}
	one, err := b.viaChowk(ctx, "journal, pool 1 + 0", j)
	if err != nil {
		return err
	}
	b.mark(name+": pool 1 + 0 / pool 10 + 20", one.PerSecond/many.PerSecond, true, 0.7, one, many)
	return nil
}

// half compares the ack's p99 at half of the full load with that of a single sender.
func (b *bench) half(ctx context.Context, name, kind string) error {
	j := oneJob{step: name, kind: kind, world: newWorld(200, 1000, 20), senders: 200}
	full, err := b.viaChowk(ctx, "journal, full load", j)
	if err != nil {
		return err
	}
	j.rate = full.PerSecond / 2
	half, err := b.viaChowk(ctx, "journal, half of that", j)
	if err != nil {
		return err
	}
	j.rate, j.senders = 0, 1
	single, err := b.viaChowk(ctx, "journal, a single sender", j)
	if err != nil {
		return err
	}
	b.mark(name+": p99 at half load / p99 of a single commit", half.P99/single.P99, false, 3, full, half, single)
	return nil
}
