// Package bench is the load test behind `chowk bench`: it connects to a running server
// as clients do, and measures what they see. It uses only the published protocol, so
// most scenarios also run against servers of the old protocol.
//
// A Plan describes a run. One or several workers (goroutines in this process, or
// processes of their own) execute it phase by phase, each with its share of the
// sockets. They report what happens as ticks, which add up to the report. Where
// commands are due at set times, a latency counts from the time at which the command
// was due, not from when it could be written: a server that stalls does not stop the
// clock.
package bench
