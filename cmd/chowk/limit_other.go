//go:build !unix

package main

// socketLimit gives how many sockets are allowed: there is no limit on open files
// to keep to here.
func socketLimit(asked int) (int, error) { return asked, nil }

// fileLimit is unknown here.
func fileLimit() int { return 0 }
