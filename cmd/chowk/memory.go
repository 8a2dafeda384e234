package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"
)

// heapFloor is how much is allocated, at the least, between two runs of the garbage
// collector. A server with little in its heap, however busy, would else run it
// dozens of times a second to find a few megabytes: a quarter of the CPU time of a
// message, and stops that senders wait for. More of it costs idle sockets memory:
// what they keep then lies between more that is dropped.
const heapFloor = 16 << 20

// ballast counts as heap that is alive, so the collector waits for as much again.
// Nobody writes to it: it takes addresses, not memory. It is nil where the operator
// has said how the collector is to work, or has little memory to give.
func ballast(log *slog.Logger) []byte {
	if _, given := os.LookupEnv("GOGC"); given {
		return nil
	}
	limit := debug.SetMemoryLimit(-1)
	if limit != math.MaxInt64 && limit < 16*heapFloor {
		log.Info("the garbage collector works for a small memory", "memory_limit", limit)
		return nil
	}
	return make([]byte, heapFloor)
}
