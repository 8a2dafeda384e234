package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"testing"
)

// TestTheCollectorIsLeftAloneWhereTheOperatorSaysHow it is to work, or has little
// memory to give.
func TestTheCollectorIsLeftAloneWhereTheOperatorSaysHow(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	t.Setenv("GOGC", "50")
	if n := len(ballast(log)); n != 0 {
		t.Errorf("with GOGC %d bytes are held", n)
	}
	if err := os.Unsetenv("GOGC"); err != nil { // Setenv puts it back
		t.Fatal(err)
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for limit, want := range map[int64]int{math.MaxInt64: heapFloor, 64 << 20: 0, 1 << 30: heapFloor} {
		debug.SetMemoryLimit(limit)
		if n := len(ballast(log)); n != want {
			t.Errorf("with %d bytes of memory %d are held, want %d", limit, n, want)
		}
	}
}
