//go:build !faultclock

package main

import "time"

// wallClock is the clock by which all rooms tell the time of day.
func wallClock() func() time.Time { return time.Now }
