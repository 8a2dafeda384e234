// Package faultclock is a clock that tests set while a server runs, as an administrator
// or a resumed virtual machine sets the system's. Only servers built with the tag
// faultclock have it.
package faultclock

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Step returns t as a clock would show it after it was set forward by a number of
// seconds, or back: the time of day changes, and the monotonic reading, with which
// times of one process are compared and subtracted, does not. (t.Add changes both.) A t
// without a monotonic reading is only moved.
func Step(t time.Time, seconds int) time.Time {
	if t == t.Round(0) { //nolint:staticcheck // == and not Equal: whether there is a monotonic reading
		return t.Add(time.Duration(seconds) * time.Second)
	}
	// With a monotonic reading, wall holds the seconds above 30 bits of nanoseconds.
	(*struct {
		wall uint64
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t)).wall += uint64(seconds) << 30 //nolint:gosec // the one way to such a time, and a test compares
	return t
}

// pollInterval is how often the file is read.
const pollInterval = 5 * time.Millisecond

// Follow returns a clock that is off by the number of seconds in a file. Without a file
// it is exact; when the file holds no number, it stays as it was. It reads the file
// every few milliseconds.
func Follow(file string) func() time.Time {
	var mu sync.Mutex // guards what follows
	var offset int
	var next time.Time
	return func() time.Time {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if now.After(next) {
			next = now.Add(pollInterval)
			if b, err := os.ReadFile(file); err == nil {
				if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
					offset = n
				}
			}
		}
		return Step(now, offset)
	}
}
