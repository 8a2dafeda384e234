// Package usage tells who used how much CPU time; not on Windows.
package usage
