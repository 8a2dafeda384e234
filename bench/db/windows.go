//go:build windows

// Command benchdb measures the way of changes into the database; not on Windows.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchdb: not on Windows: it starts PostgreSQL servers of its own")
	os.Exit(1)
}
