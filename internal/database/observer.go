package database

import "time"

// Observer is notified of units of work and statements, once their connection has
// been returned. Its methods must be quick.
type Observer interface {
	// Acquired is called when a unit of work is done.
	Acquired(unit string, waited, held time.Duration)
	// Executed is called for each round trip. The name is that of its statement, or that
	// of the unit when several were sent together: only their total duration is known.
	// Begin and commit do not count for the name.
	Executed(name string, statements []string, took time.Duration, err error)
	// Refused is called for a unit that got no connection, with the reason: queue_full,
	// timeout, gave_up (its caller's time was over), unreachable, circuit_open.
	Refused(unit, why string)
	// HeldLong is called for a unit at its soft limit, Cancelled at its hard limit.
	HeldLong(unit string)
	Cancelled(unit string)
}

type noObserver struct{}

func (noObserver) Acquired(string, time.Duration, time.Duration)   {}
func (noObserver) Executed(string, []string, time.Duration, error) {}
func (noObserver) Refused(string, string)                          {}
func (noObserver) HeldLong(string)                                 {}
func (noObserver) Cancelled(string)                                {}
