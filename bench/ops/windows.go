//go:build windows

// Command benchops measures a server in operation; not on Windows.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchops does not run on Windows: it starts PostgreSQL servers")
	os.Exit(1)
}
