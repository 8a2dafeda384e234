//go:build windows

// Command withpg needs a PostgreSQL server of its own, which it cannot start here.
package main

func main() { panic("withpg does not run on Windows") }
