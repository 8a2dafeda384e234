// Package bench loads a running server as its clients would, and measures what
// they see: chowk bench. It speaks the published protocol and nothing else, so
// most of it measures any server of the old protocol as well.
//
// A Plan says what to do. It is carried out phase by phase by one or several
// workers (goroutines here, or processes of their own), each with its share of the
// sockets. What happens is told in ticks, which add up to the report. Where events
// are due at set times, latencies count from when an event was due, not from when
// it could be written: a server that stalls does not stop the clock.
package bench
