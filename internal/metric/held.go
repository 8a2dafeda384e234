package metric

import (
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// HeldWrites watches for the mistake that chowk is built to make impossible: a
// goroutine that writes to a socket while it holds a connection of the database.
type HeldWrites struct {
	Found prometheus.Counter
	// Every is of how many writes one is looked at: who holds a connection is found
	// by walking the stack, which costs as much as the write itself.
	Every uint32
	// Fatal panics instead of counting, for tests.
	Fatal bool
}

// lookEvery is how rarely a server looks. The mistake is one of the code's paths, so
// it would happen at every event of a kind, or never.
const lookEvery = 1024

// Look is called before a write to a socket.
func (h *HeldWrites) Look() {
	if rand.Uint32()%h.Every != 0 || !HoldsConnection() {
		return
	}
	if h.Fatal {
		panic("a connection is held across a write to a socket")
	}
	h.Found.Inc()
}

// unitOfWork is the function in which all work with a connection is
// done.
const unitOfWork = "github.com/chowk-chat/chowk/internal/database.holdConnection["

// HoldsConnection says whether the calling goroutine holds a connection of the
// store's.
func HoldsConnection() bool {
	var pcs [64]uintptr
	n := runtime.Callers(2, pcs[:])
	for frames, more := runtime.CallersFrames(pcs[:n]), n > 0; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.HasPrefix(f.Function, unitOfWork) {
			return true
		}
	}
	return false
}
