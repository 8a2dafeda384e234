//go:build windows

// Command benchops measures a server in operation; not on Windows.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchops: not on Windows: it starts PostgreSQL servers of its own")
	os.Exit(1)
}
