package metric

import (
	"math/rand/v2"
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// HeldWrites detects the mistake that chowk is built to make impossible: a goroutine
// that writes to a socket while it holds a database connection.
type HeldWrites struct {
	Found prometheus.Counter
	// Every means that one in so many writes is checked: finding out whether a goroutine
	// holds a connection means walking its stack, which costs as much as the write.
	Every uint32
	// Fatal panics instead of counting, for tests.
	Fatal bool
}

// checkEvery is HeldWrites.Every in production. The mistake would be a path of the code
// and happen for every event of some type, so it is found even if few are checked.
const checkEvery = 1024

func newHeldWrites(b builder) *HeldWrites {
	return &HeldWrites{
		Found: b.counter("chowk_db_held_across_socket_write_total",
			"Writes to sockets by goroutines that held a database connection, of the one in 1024 that is checked. "+
				"Always 0."),
		Every: checkEvery,
	}
}

// Check is called before each write to a socket.
func (h *HeldWrites) Check() {
	if rand.Uint32()%h.Every != 0 || !HoldsConnection() {
		return
	}
	if h.Fatal {
		panic("a connection is held across a write to a socket")
	}
	h.Found.Inc()
}

// unitOfWork is the function below which all work with a connection is done.
const unitOfWork = "github.com/chowk-chat/chowk/internal/database.holdConnection["

// HoldsConnection reports whether the calling goroutine holds a database connection.
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
