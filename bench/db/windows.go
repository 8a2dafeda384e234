//go:build windows

// Command benchdb measures writes to both databases; not on Windows.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "benchdb does not run on Windows: it starts PostgreSQL servers")
	os.Exit(1)
}
