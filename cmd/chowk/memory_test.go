package main

import (
	"bytes"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
)

// unsetGOGC removes GOGC from the environment until the test ends.
func unsetGOGC(t *testing.T) {
	t.Helper()
	t.Setenv("GOGC", "") // puts the old value back
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
}

// collectionsOf returns how often the collector runs while so many bytes of garbage are
// allocated next to a small heap.
func collectionsOf(garbage int) int {
	const size = 1 << 10
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range garbage / size {
		sink = make([]byte, size)
	}
	runtime.ReadMemStats(&after)
	return int(after.NumGC - before.NumGC)
}

var sink []byte

// TestTheCollectorOfASmallHeapRunsRarely: the runtime's default runs it three to four
// times as often, which was a quarter of the CPU time of a message.
func TestTheCollectorOfASmallHeapRunsRarely(t *testing.T) {
	const garbage = 512 << 20
	unsetGOGC(t)
	untuned := collectionsOf(garbage)
	defer tuneCollector(slog.New(slog.DiscardHandler))()
	tuned := collectionsOf(garbage)
	if limit := garbage / (heapGrowth / 2); tuned > limit || untuned <= limit {
		t.Errorf("the collector ran %d times for %d bytes, and %d times by default; want at most %d, and more",
			tuned, garbage, untuned, limit)
	}
}

func TestTheHeapGrowsByItsSizeWhenThatIsMore(t *testing.T) {
	for live, want := range map[uint64]int{
		0:              400,
		1 << 20:        400,
		heapGrowth / 4: 400,
		heapGrowth / 3: 400,
		heapGrowth / 2: 200,
		heapGrowth:     100,
		1 << 40:        100,
	} {
		if got := percentFor(live); got != want {
			t.Errorf("for %d live bytes GOGC is %d, want %d", live, got, want)
		}
	}
}

func TestTheCollectorIsLeftAlone(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(defaultPercent)
		debug.SetGCPercent(p)
		return p
	}
	limit := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(limit) })
	for name, c := range map[string]struct {
		gogc  string
		limit int64
		want  bool // left alone
	}{
		"GOGC is set":          {"50", math.MaxInt64, true},
		"little memory":        {"", 64 << 20, true},
		"enough memory":        {"", 1 << 30, false},
		"no limit of memory":   {"", math.MaxInt64, false},
		"GOGC and much memory": {"100", 1 << 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			unsetGOGC(t)
			if c.gogc != "" {
				t.Setenv("GOGC", c.gogc)
			}
			debug.SetMemoryLimit(c.limit)
			runtime.GC()
			var log bytes.Buffer
			stop := tuneCollector(slog.New(slog.NewTextHandler(&log, nil)))
			got := percent() == defaultPercent
			stop()
			if got != c.want {
				t.Errorf("left alone is %v, want %v; the log says %s", got, c.want, log.String())
			}
			if after := percent(); after != defaultPercent {
				t.Errorf("GOGC is %d after the end, want the default", after)
			}
		})
	}
}
