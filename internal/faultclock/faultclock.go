// Package faultclock is a clock that can be set while a server runs, as somebody
// with a wrong idea of the time, or a virtual machine that wakes up, sets the
// system's. It is for tests: the server has it only when it is built with the tag
// faultclock.
package faultclock

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Step is t as a clock would tell it that was set forward by so many seconds, or
// back: the time of day is another, and the monotonic reading, by which times of one
// process are compared and subtracted, is the same. (t.Add moves both.) A t without
// a monotonic reading is only moved.
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

// look is how often a file is read.
const look = 5 * time.Millisecond

// Follow is a clock that is off by what a file says, in seconds; by nothing while
// there is no file, and by what it said last when it says no number. It looks every
// few milliseconds.
func Follow(file string) func() time.Time {
	var mu sync.Mutex // guards what follows
	var offset int
	var next time.Time
	return func() time.Time {
		now := time.Now()
		mu.Lock()
		defer mu.Unlock()
		if now.After(next) {
			next = now.Add(look)
			if b, err := os.ReadFile(file); err == nil {
				if n, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
					offset = n
				}
			}
		}
		return Step(now, offset)
	}
}
