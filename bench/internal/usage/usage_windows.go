// Package usage reports CPU time and memory of processes; not on Windows.
package usage
