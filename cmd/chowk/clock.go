//go:build !faultclock

package main

import "time"

// wallClock returns the clock of the server.
func wallClock() func() time.Time { return time.Now }
