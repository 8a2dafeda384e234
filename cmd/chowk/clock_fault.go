//go:build faultclock

package main

import (
	"os"
	"time"

	"github.com/chowk-chat/chowk/internal/faultclock"
)

// wallClock returns a clock that test/faults sets while the server runs.
func wallClock() func() time.Time { return faultclock.Follow(os.Getenv("FAULTCLOCK")) }
