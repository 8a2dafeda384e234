package main

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// heapGrowth is about how many bytes are allocated, at least, between two runs of the
// garbage collector. With GOGC alone a server with a small heap, however busy, runs it
// dozens of times a second to free a few megabytes: a quarter of the CPU time of a
// message, and pauses that senders wait for.
const heapGrowth = 16 << 20

// defaultPercent is the runtime's default of GOGC. maxTimes bounds how often that is
// taken: with four times the default the runtime lets a heap grow to 16 MB at least.
const (
	defaultPercent = 100
	maxTimes       = 4
)

// tuneCollector sets GOGC after each run of the collector, so that the heap grows by
// heapGrowth, or else by its own size, before the next. It leaves the collector alone
// where the operator has set GOGC or a small GOMEMLIMIT. Call stop to end it.
func tuneCollector(log *slog.Logger) (stop func()) {
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 && limit < 16*heapGrowth {
		log.Info("the memory limit is small: the garbage collector keeps its default", "memory_limit", limit)
		return func() {}
	}
	c := &collector{percent: defaultPercent}
	c.tune()
	return c.stop
}

// collector is the state of what tunes the garbage collector.
type collector struct {
	mu      sync.Mutex // guards what follows
	percent int        // in force
	stopped bool
}

// tune sets GOGC, and again after the next run of the collector: that finds an object
// which nothing refers to, and runs its cleanup.
func (c *collector) tune() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.set(percentFor(liveHeap()))
	runtime.AddCleanup(new(marker), (*collector).tune, c)
}

// set changes GOGC only if it differs, because the change stops all goroutines for a moment.
func (c *collector) set(percent int) {
	if percent != c.percent {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

func (c *collector) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	c.set(defaultPercent)
}

// marker is an object with a pointer, so that it does not share its memory.
type marker struct{ _ *byte }

// percentFor returns the GOGC for a heap of live bytes, a multiple of the default.
func percentFor(live uint64) int {
	times := math.Ceil(heapGrowth / float64(max(live, 1)))
	return int(min(times, maxTimes)) * defaultPercent
}

// liveHeap returns the bytes that the last run of the collector found in use.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
